"""Text models of transformers, from a store or a checkpoint's folder."""
