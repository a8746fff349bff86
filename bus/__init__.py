"""Everything said on NATS: subjects, messages, streams, the consumer, the request API and the three clients."""
