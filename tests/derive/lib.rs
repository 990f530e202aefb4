//! The tests are the targets `derive`, `rows` and `derive_ui`; the package has no code of its own.
