//! What a user who makes a mistake reads. `TRYBUILD=overwrite cargo test -p highwater-macros --test
//! ui` writes the messages anew; read them before they are kept.

use trybuild::TestCases;

#[test]
fn every_mistake_has_a_clear_message() {
    let cases = TestCases::new();
    cases.compile_fail("tests/ui/event/*.rs");
    cases.compile_fail("tests/ui/command/*.rs");
    cases.compile_fail("tests/ui/aggregate/*.rs");
    cases.compile_fail("tests/ui/decider/*.rs");
    cases.compile_fail("tests/ui/any_of/*.rs");
    cases.compile_fail("tests/ui/view/*.rs");
}
