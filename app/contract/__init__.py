"""The wire as documents: AsyncAPI, JSON Schemas and tables, all made from the structs and the channels."""
