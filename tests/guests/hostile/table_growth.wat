;; Asks for table entries without end: memory that is not in the guest's memory.
(module
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (func (export "attack") (result i32)
    (loop $more
      (br_if $more (i32.ne (i32.const -1) (table.grow $table (ref.null func) (i32.const 1000)))))
    (table.size $table)))
