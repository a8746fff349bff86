"""The tools a language model calls, as functions over the client."""
