"""componentize-py and componentize-qjs: what is built, by which tool, and where it is kept."""
