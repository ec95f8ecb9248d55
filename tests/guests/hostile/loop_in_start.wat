;; Never returns from the start function, which runs before anything can be called.
(module
  (memory (export "memory") 1)
  (func $start (loop (br 0)))
  (start $start))
