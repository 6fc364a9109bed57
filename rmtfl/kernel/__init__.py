"""The spiked kernel: closed duals, the exact spectrum, kernel matrices on samples and what they learn."""
