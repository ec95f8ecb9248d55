;; Traps while it is being made: there is nothing yet that could be closed.
(module
  (memory (export "memory") 1)
  (func $start unreachable)
  (start $start))
