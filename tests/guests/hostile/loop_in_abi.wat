;; Never says which version of the ABI it speaks.
(module
  (memory (export "memory") 1)
  (func (export "onecopy_abi") (param i32) (result i32) (loop (br 0)) unreachable))
