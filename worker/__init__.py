"""Between the queue and the partners: turns, order, holds, batching, retries, reports."""
