//! The tests are the targets `derive` and `derive_ui`; the package has no code of its own.
