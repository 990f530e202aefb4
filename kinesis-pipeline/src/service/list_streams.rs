/// Lists streams by name, up to 10,000 a page.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListStreams {
    /// Only names that come after this one.
    pub after_name: Option<String>,
    /// At most this many, 1 to 10,000; the service's default is 100.
    pub limit: Option<u32>,
}

impl ListStreams {
    /// A call for the first page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A call for the names that come after `name`.
    #[must_use]
    pub fn after_name(mut self, name: impl Into<String>) -> Self {
        self.after_name = Some(name.into());
        self
    }
}

/// One page of stream names.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StreamPage {
    /// The names, in order.
    pub names: Vec<String>,
    /// Whether there are more after the last one.
    pub has_more: bool,
}
