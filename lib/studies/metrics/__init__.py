"""Compare metrics of several libraries, and the numbers of one model under each protocol."""
