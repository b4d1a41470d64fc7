"""./dev gpu: all that a GPU must show, by one command, from a folder that was made elsewhere."""
