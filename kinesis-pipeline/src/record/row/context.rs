//! The context of a mapping.

use std::fmt;

use crate::clock::Clock;

/// The secret of the anonymisers: with one seed, a person has one pseudonym in all tables and runs.
///
/// Keep the seed as secret as a password: with it, a pseudonym's name can be found by trying names.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(Box<[u8]>);

impl Seed {
    /// Returns the seed with these bytes. Use 16 random bytes or more.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into_boxed_slice())
    }

    /// Makes a seed of 32 random bytes, for pseudonyms that no other run finds again.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 32];
        for half in bytes.chunks_exact_mut(16) {
            half.copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        }
        Self::new(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes are not shown.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").finish_non_exhaustive()
    }
}

/// The context of a mapping besides the row: the time and the seed of the anonymisers.
#[derive(Clone, Debug)]
pub struct RowContext {
    pub(super) clock: Clock,
    pub(super) seed: Seed,
}

impl RowContext {
    /// Makes a context by this clock, with this seed.
    #[must_use]
    pub fn new(clock: Clock, seed: Seed) -> Self {
        Self { clock, seed }
    }
}

/// The clock of the runtime and a random seed.
impl Default for RowContext {
    fn default() -> Self {
        Self::new(Clock::of_runtime(), Seed::random())
    }
}
