/// The owner of checkpoints: an application, and the stream that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) app: String,
    pub(super) stream: String,
}

impl Identity {
    pub(super) fn new(app: &str, stream: &str) -> Self {
        Self {
            app: app.to_owned(),
            stream: stream.to_owned(),
        }
    }

    /// Returns the owner of a table if it is another one, by the names in the table's rows. Rows without a name come
    /// from KCL. They count as this owner's, in a table without names of others.
    pub(super) fn stranger_among<'a>(
        &self,
        names: impl Iterator<Item = Option<&'a Identity>>,
    ) -> Option<&'a Identity> {
        let mut stranger = None;
        for name in names.flatten() {
            if name == self {
                return None;
            }
            stranger = Some(name);
        }
        stranger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_strangers_if_its_rows_name_others_only() {
        let (mine, other) = (Identity::new("app", "a"), Identity::new("app", "b"));
        let stranger = |names: &[Option<&'static str>]| {
            let names: Vec<_> = names
                .iter()
                .map(|stream| stream.map(|stream| Identity::new("app", stream)))
                .collect();
            let stranger = mine.stranger_among(names.iter().map(Option::as_ref));
            stranger.cloned()
        };
        assert_eq!(stranger(&[]), None);
        assert_eq!(stranger(&[None, Some("a")]), None);
        assert_eq!(stranger(&[Some("b"), Some("a")]), None);
        assert_eq!(stranger(&[None, Some("b")]), Some(other));
    }
}
