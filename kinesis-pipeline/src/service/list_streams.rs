/// A call that lists streams by name, up to 10,000 a page.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListStreams {
    /// The name after which the page begins.
    pub after_name: Option<String>,
    /// The largest number of names, 1 to 10,000; the service's default is 100.
    pub limit: Option<u32>,
}

impl ListStreams {
    /// Makes a call for the first page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the page after `name`.
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
    /// The names, sorted.
    pub names: Vec<String>,
    /// Whether there are more names after the last one.
    pub has_more: bool,
}
