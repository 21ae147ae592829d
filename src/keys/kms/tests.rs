//! What becomes of keys that S3 cannot use, without a server.
