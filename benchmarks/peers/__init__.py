"""The stores that are measured side by side, one file each, behind one class (``base.Peer``)."""
