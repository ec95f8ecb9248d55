(component
  ;; An agent that does what the second byte of its event says: "e" echoes it, and so on.
  (import "onecopy:agent/llm@0.1.0" (instance $llm
    (type $e (record (field "code" string) (field "message" string)))
    (export "error" (type $error (eq $e)))
    (export "chat" (func (param "request" string) (result (result string (error $error)))))
  ))
  (import "onecopy:agent/log@0.1.0" (instance $log
    (export "step" (func (param "name" string)))
  ))
  (import "wasi:io/poll@0.2.3" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
  ))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "pollable" (type $pollable (eq $p)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))
  ))

  (core module $Memory
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (block $enough (loop $more
        (br_if $enough
          (i32.le_u (global.get $top) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $more)))
      (local.get $at)))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $chat (canon lower (func $llm "chat") (memory $mem) (realloc $realloc)))
  (core func $step (canon lower (func $log "step") (memory $mem)))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $after (canon lower (func $clock "subscribe-duration")))
  (core func $drop (canon resource.drop $pollable))

  (core module $Main
    (import "memory" "memory" (memory 0))
    (import "host" "chat" (func $chat (param i32 i32 i32)))
    (import "host" "step" (func $step (param i32 i32)))
    (import "host" "block" (func $block (param i32)))
    (import "host" "after" (func $after (param i64) (result i32)))
    (import "host" "drop" (func $drop (param i32)))

    (func $recurse (param i32) (result i32)
      (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

    ;; The result lies at 16: tag, pointer, length. Answers of the host lie at 64.
    (func $answer (param $tag i32) (param $at i32) (param $size i32) (result i32)
      (i32.store8 (i32.const 16) (local.get $tag))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $size))
      (i32.const 16))

    ;; What the host answered; of an error its message.
    (func $heard (result i32)
      (if (result i32) (i32.load8_u (i32.const 64))
        (then (call $answer (i32.const 1) (i32.load (i32.const 76)) (i32.load (i32.const 80))))
        (else (call $answer (i32.const 0) (i32.load (i32.const 68)) (i32.load (i32.const 72))))))

    (func $grow
      (loop $more
        (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then unreachable))
        (br $more)))

    (func $sleep (param $ns i64) (local $pollable i32)
      (local.set $pollable (call $after (local.get $ns)))
      (call $block (local.get $pollable))
      (call $drop (local.get $pollable)))

    (func (export "handle") (param $at i32) (param $size i32) (result i32)
      (local $do i32)
      (local.set $do (i32.load8_u offset=1 (local.get $at)))
      ;; l: loop
      (if (i32.eq (local.get $do) (i32.const 108)) (then (loop $l (br $l))))
      ;; r: recurse
      (if (i32.eq (local.get $do) (i32.const 114)) (then (drop (call $recurse (i32.const 0)))))
      ;; g: grow until it fails, then trap
      (if (i32.eq (local.get $do) (i32.const 103)) (then (call $grow)))
      ;; t: trap
      (if (i32.eq (local.get $do) (i32.const 116)) (then unreachable))
      ;; c: chat, and return the answer
      (if (i32.eq (local.get $do) (i32.const 99)) (then
        (call $chat (local.get $at) (local.get $size) (i32.const 64))
        (return (call $heard))))
      ;; k: chat, then trap
      (if (i32.eq (local.get $do) (i32.const 107)) (then
        (call $chat (local.get $at) (local.get $size) (i32.const 64)) unreachable))
      ;; f: chat for ever
      (if (i32.eq (local.get $do) (i32.const 102)) (then (loop $l
        (call $chat (local.get $at) (local.get $size) (i32.const 64)) (br $l))))
      ;; w: write steps for ever
      (if (i32.eq (local.get $do) (i32.const 119)) (then (loop $l
        (call $step (local.get $at) (local.get $size)) (br $l))))
      ;; W: write one step
      (if (i32.eq (local.get $do) (i32.const 87)) (then
        (call $step (local.get $at) (local.get $size))))
      ;; a: chat with 17 MiB
      (if (i32.eq (local.get $do) (i32.const 97)) (then
        (drop (memory.grow (i32.const 300)))
        (call $chat (i32.const 65536) (i32.const 17825792) (i32.const 64))
        (return (call $heard))))
      ;; b: return 17 MiB
      (if (i32.eq (local.get $do) (i32.const 98)) (then
        (drop (memory.grow (i32.const 300)))
        (return (call $answer (i32.const 0) (i32.const 65536) (i32.const 17825792)))))
      ;; n: return text that is not UTF-8
      (if (i32.eq (local.get $do) (i32.const 110)) (then
        (i32.store8 (i32.const 32) (i32.const 255))
        (return (call $answer (i32.const 0) (i32.const 32) (i32.const 1)))))
      ;; p: return a pointer outside of the memory
      (if (i32.eq (local.get $do) (i32.const 112)) (then
        (return (call $answer (i32.const 0) (i32.const -4096) (i32.const 8192)))))
      ;; x: return an error
      (if (i32.eq (local.get $do) (i32.const 120)) (then
        (return (call $answer (i32.const 1) (local.get $at) (local.get $size)))))
      ;; j: return what is no JSON
      (if (i32.eq (local.get $do) (i32.const 106)) (then
        (return (call $answer (i32.const 0) (local.get $at) (i32.const 1)))))
      ;; s: sleep for a millisecond; S: for an hour
      (if (i32.eq (local.get $do) (i32.const 115)) (then (call $sleep (i64.const 1000000))))
      (if (i32.eq (local.get $do) (i32.const 83)) (then (call $sleep (i64.const 3600000000000))))
      (call $answer (i32.const 0) (local.get $at) (local.get $size))))

  (core instance $main (instantiate $Main
    (with "memory" (instance $memory))
    (with "host" (instance
      (export "chat" (func $chat)) (export "step" (func $step))
      (export "block" (func $block)) (export "after" (func $after)) (export "drop" (func $drop))))))
  (func (export "handle") (param "event" string) (result (result string (error string)))
    (canon lift (core func $main "handle") (memory $mem) (realloc $realloc))))
