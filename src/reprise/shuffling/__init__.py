"""The order of the data in SGD: what sampling without replacement buys, and what it cannot."""
