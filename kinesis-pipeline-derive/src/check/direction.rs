use crate::{input::Input, mistakes::Mistakes, record::Direction};

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) -> Direction {
    let settings = &input.settings;
    match (&settings.put_only, &settings.get_only) {
        (None, None) => Direction::Both,
        (Some(_), None) => Direction::PutOnly,
        (None, Some(_)) => Direction::GetOnly,
        (Some(_), Some(get_only)) => {
            mistakes.add(
                get_only.span,
                "a record that is neither put nor read is none: remove `put_only`, `get_only` or both",
            );
            Direction::Both
        }
    }
}
