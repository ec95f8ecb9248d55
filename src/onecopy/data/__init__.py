"""Training data: batches that come from workers through a store, and data sets kept in one.

    from onecopy.data import DataLoader, StoreDataset

    loader = DataLoader(StoreDataset(store, "images/"), store=store, batch_size=64, num_workers=4)

`batch` is what travels from a worker to the main process in place of a batch, `loader` cares for
those that nobody takes, `dataset` reads entries as samples.
"""

from onecopy.data.batch import BatchRef, StoreCollate
from onecopy.data.dataset import StoreDataset
from onecopy.data.loader import DataLoader

__all__ = ["BatchRef", "DataLoader", "StoreCollate", "StoreDataset"]
