"""From one array to a cluster: one fold, anywhere, with the same bits."""
