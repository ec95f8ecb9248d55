;; A component around a core module (the empty one, which building.py puts in): the world `ml` of wasi:nn, a
;; command of WASI 0.2, and its standard output. Written from the WIT of both, and from the
;; canonical ABI of the component model.
(component
  (import "wasi:io/error@0.2.0" (instance $io-error
    (export "error" (type (sub resource)))))
  (alias export $io-error "error" (type $io-error-type))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "error" (type $error (eq $io-error-type)))
    (export "output-stream" (type $stream (sub resource)))
    (type $failure-type (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $failure (eq $failure-type)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $stream)) (param "contents" (list u8))
        (result (result (error $failure)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (export "output-stream" (type $out (eq $stream)))
    (export "get-stdout" (func (result (own $out))))))

  (import "wasi:nn/tensor@0.2.0-rc-2024-10-28" (instance $tensor
    (export "tensor" (type $tensor (sub resource)))
    (type $kinds (enum "FP16" "FP32" "FP64" "BF16" "U8" "I32" "I64"))
    (export "tensor-type" (type $kind (eq $kinds)))
    (type $dims (list u32))
    (export "tensor-dimensions" (type $dimensions (eq $dims)))
    (type $bytes (list u8))
    (export "tensor-data" (type $data (eq $bytes)))
    (export "[constructor]tensor"
      (func (param "dimensions" $dimensions) (param "ty" $kind) (param "data" $data)
        (result (own $tensor))))
    (export "[method]tensor.dimensions"
      (func (param "self" (borrow $tensor)) (result $dimensions)))
    (export "[method]tensor.ty" (func (param "self" (borrow $tensor)) (result $kind)))
    (export "[method]tensor.data" (func (param "self" (borrow $tensor)) (result $data)))))
  (alias export $tensor "tensor" (type $tensor-type))
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" (instance $errors
    (export "error" (type $error (sub resource)))
    (type $codes (enum "invalid-argument" "invalid-encoding" "timeout" "runtime-error"
      "unsupported-operation" "too-large" "not-found" "security" "unknown"))
    (export "error-code" (type $code (eq $codes)))
    (export "[method]error.code" (func (param "self" (borrow $error)) (result $code)))
    (export "[method]error.data" (func (param "self" (borrow $error)) (result string)))))
  (alias export $errors "error" (type $error-type))
  (import "wasi:nn/inference@0.2.0-rc-2024-10-28" (instance $inference
    (export "error" (type $error (eq $error-type)))
    (export "tensor" (type $tensor (eq $tensor-type)))
    (type $pair (tuple string (own $tensor)))
    (export "named-tensor" (type $named (eq $pair)))
    (export "graph-execution-context" (type $context (sub resource)))
    (export "[method]graph-execution-context.compute"
      (func (param "self" (borrow $context)) (param "inputs" (list $named))
        (result (result (list $named) (error (own $error))))))))
  (alias export $inference "graph-execution-context" (type $context-type))
  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" (instance $graph
    (export "error" (type $error (eq $error-type)))
    (export "tensor" (type $tensor (eq $tensor-type)))
    (export "graph-execution-context" (type $context (eq $context-type)))
    (export "graph" (type $graph (sub resource)))
    (type $encodings (enum "openvino" "onnx" "tensorflow" "pytorch" "tensorflowlite" "ggml"
      "autodetect"))
    (export "graph-encoding" (type $encoding (eq $encodings)))
    (type $targets (enum "cpu" "gpu" "tpu"))
    (export "execution-target" (type $target (eq $targets)))
    (type $bytes (list u8))
    (export "graph-builder" (type $builder (eq $bytes)))
    (export "[method]graph.init-execution-context"
      (func (param "self" (borrow $graph)) (result (result (own $context) (error (own $error))))))
    (export "load"
      (func (param "builder" (list $builder)) (param "encoding" $encoding) (param "target" $target)
        (result (result (own $graph) (error (own $error))))))
    (export "load-by-name"
      (func (param "name" string) (result (result (own $graph) (error (own $error))))))))
  (alias export $graph "graph" (type $graph-type))

  ;; The memory, and what allocates in it for the host: above the guest's stack and data, never freed.
  (core module $memory
    (memory (export "memory") 64)
    (global $top (mut i32) (i32.const 0x200000))
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
        (then (drop (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16))
          (i32.const 1))))))
      (local.get $at)))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush") (memory $mem)))
  (core func $new-tensor (canon lower (func $tensor "[constructor]tensor") (memory $mem)))
  (core func $dimensions (canon lower
    (func $tensor "[method]tensor.dimensions") (memory $mem) (realloc $realloc)))
  (core func $ty (canon lower (func $tensor "[method]tensor.ty")))
  (core func $data (canon lower
    (func $tensor "[method]tensor.data") (memory $mem) (realloc $realloc)))
  (core func $code (canon lower (func $errors "[method]error.code")))
  (core func $text (canon lower
    (func $errors "[method]error.data") (memory $mem) (realloc $realloc)))
  (core func $compute (canon lower
    (func $inference "[method]graph-execution-context.compute") (memory $mem) (realloc $realloc)))
  (core func $init (canon lower
    (func $graph "[method]graph.init-execution-context") (memory $mem)))
  (core func $load (canon lower (func $graph "load") (memory $mem)))
  (core func $load-by-name (canon lower (func $graph "load-by-name") (memory $mem)))
  (core func $drop-tensor (canon resource.drop $tensor-type))
  (core func $drop-error (canon resource.drop $error-type))
  (core func $drop-context (canon resource.drop $context-type))
  (core func $drop-graph (canon resource.drop $graph-type))

  (core module)  ;; the guest
  (core instance $guest (instantiate 1
    (with "env" (instance (export "memory" (memory $mem))))
    (with "host" (instance
      (export "alloc" (func $realloc))
      (export "get-stdout" (func $get-stdout))
      (export "write" (func $write))
      (export "new-tensor" (func $new-tensor))
      (export "tensor-dimensions" (func $dimensions))
      (export "tensor-ty" (func $ty))
      (export "tensor-data" (func $data))
      (export "error-code" (func $code))
      (export "error-data" (func $text))
      (export "compute" (func $compute))
      (export "init-execution-context" (func $init))
      (export "load" (func $load))
      (export "load-by-name" (func $load-by-name))
      (export "drop-tensor" (func $drop-tensor))
      (export "drop-error" (func $drop-error))
      (export "drop-context" (func $drop-context))
      (export "drop-graph" (func $drop-graph))))))
  (func $run (result (result)) (canon lift (core func $guest "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))
