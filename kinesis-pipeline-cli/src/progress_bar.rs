//! A progress bar on a terminal, and one line at the end.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::Global;

/// The bar that is drawn now: other lines on standard error are written above it.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

const REDRAWS_PER_SECOND: u8 = 10;
const OF_FILE: &str = "{bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left, {msg}";
const OPEN_END: &str = "{spinner} {bytes} {bytes_per_sec}, {elapsed}, {msg}";

/// The progress of a command: a bar where standard error is a terminal and nothing else is printed there.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    tells_end: bool,
}

impl Progress {
    /// Starts the progress of a command; `bytes` is the number of bytes to do, if it is known, and `prints` whether the
    /// command prints to standard output.
    pub(crate) fn start(global: &Global, bytes: Option<u64>, prints: bool) -> Self {
        let on_terminal = io::stderr().is_terminal() && !global.quiet;
        let is_alone = !(prints && io::stdout().is_terminal());
        Self {
            bar: (on_terminal && is_alone).then(|| draw(bytes)),
            tells_end: on_terminal || global.verbose > 0,
        }
    }

    /// Shows the progress.
    pub(crate) fn at(&self, bytes: u64, records: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
            bar.set_message(format!("{records} records"));
        }
    }

    /// Ends the bar, and prints `line` if the end is to be reported.
    pub(crate) fn end(self, line: impl FnOnce() -> String) {
        clear();
        if self.tells_end {
            tell(&line());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        clear();
    }
}

fn clear() {
    let bar = drawn().take();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn draw(bytes: Option<u64>) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
    let bar = ProgressBar::with_draw_target(bytes, target);
    let template = bytes.map_or(OPEN_END, |_| OF_FILE);
    // If the template cannot be parsed, the crate's default stays.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    *drawn() = Some(bar.clone());
    bar
}

fn drawn() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a line to standard error, above the bar if one is drawn.
pub(crate) fn tell(line: &str) {
    // A failed write to standard error cannot be reported.
    let write = || drop(writeln!(io::stderr(), "{line}"));
    let bar = drawn().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Returns the last line, about the records and bytes of this time; `source` says where the bytes were counted.
pub(crate) fn summary(
    verb: &str,
    records: u64,
    bytes: u64,
    source: &str,
    time: Duration,
) -> String {
    let seconds = time.as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = (records as f64 / seconds.max(0.001)) as u64;
    let bytes = HumanBytes(bytes);
    format!("{verb} {records} records ({bytes} of {source}) in {seconds:.1} s, {rate} a second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_count_size_time_and_rate() {
        let line = summary(
            "stored",
            3_000,
            2_048,
            "input",
            Duration::from_millis(1_500),
        );
        assert_eq!(
            line,
            "stored 3000 records (2.00 KiB of input) in 1.5 s, 2000 a second"
        );
        assert!(summary("read", 0, 0, "data", Duration::ZERO).ends_with(" 0 a second"));
    }

    #[test]
    fn the_templates_of_the_bars_are_right() {
        for template in [OF_FILE, OPEN_END] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
