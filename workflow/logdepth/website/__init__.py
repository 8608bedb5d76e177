"""Pages that show finished results: files alone, which need neither a server nor the network."""
