;; Calls itself until no stack is left; without a stack of its own in memory that could run over.
(module
  (memory (export "memory") 1)
  (func $attack (export "attack") (result i64)
    (i64.add (call $attack) (i64.const 1))))
