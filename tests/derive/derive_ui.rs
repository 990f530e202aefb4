//! Tests of the derive's diagnostics: one case for each mistake, and one for many at once.

#[test]
fn every_mistake_is_told_on_its_span_and_says_what_to_write() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
