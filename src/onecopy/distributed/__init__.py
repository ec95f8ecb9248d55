"""Checkpoints of distributed training in a store, through `torch.distributed.checkpoint`.

    import torch.distributed.checkpoint as dcp
    from onecopy.distributed import StoreReader, StoreWriter

    dcp.save(state_dict, storage_writer=StoreWriter(store, "run/100"))
    dcp.load(state_dict, storage_reader=StoreReader(store, "run/100"))

A checkpoint is a few *parts*, entries that ranks save each for itself, and one small entry of
metadata that names them, which rank 0 publishes last: `layout` has the names and the rules,
`metadata` how DCP's `Metadata` is stored without pickle, `writer` and `reader` are the two ends.
"""

from onecopy.distributed.layout import remove
from onecopy.distributed.reader import StoreReader
from onecopy.distributed.writer import StoreWriter

__all__ = ["StoreReader", "StoreWriter", "remove"]
