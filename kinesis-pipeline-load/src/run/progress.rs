//! Counters that the thread, the task and the terminal share.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of a load. Counters are read one by one, so they may be from slightly different moments.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes of the input that were read, compressed.
    pub(crate) input_bytes: Arc<AtomicU64>,
    /// Bytes of the input, compressed, that the read rows make up: set when a load ends by its limit of rows.
    pub(crate) rows_bytes: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) stop: AtomicBool,
}

impl Progress {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The bar on the terminal. Dropping it clears the line.
pub(crate) struct Bar {
    bar: ProgressBar,
}

/// The time between two draws of the bar.
pub(crate) const DRAW_EVERY: Duration = Duration::from_millis(200);

impl Bar {
    /// Makes a bar on standard error, if that is a terminal. `total` is the input's size, where it is known.
    pub(crate) fn new(total: Option<u64>) -> Option<Self> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{bar:24} {percent:>3}% {bytes_per_sec} ETA {eta} {msg}",
            None => "{spinner} {bytes} {bytes_per_sec} {msg}",
        };
        // The template is a valid constant, so the default is never used.
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Some(Self { bar })
    }

    pub(crate) fn draw(&self, progress: &Progress, throttled: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs().max(1);
        let (rows, records) = (get(&progress.rows), get(&progress.records));
        self.bar.set_position(get(&progress.input_bytes));
        self.bar.set_message(format!(
            "{rows} rows ({}/s), {records} records ({}/s), {} rejected, {throttled} throttled",
            rows / seconds,
            records / seconds,
            get(&progress.rejected)
        ));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
