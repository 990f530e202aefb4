//! The tests are the targets `derive`, `rows` and `derive_ui`. The package has no code of its own.
