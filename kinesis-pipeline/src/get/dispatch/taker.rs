use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::task::coop;

use super::{
    ack::Tracker,
    channel::{News, NewsSender, Page, Taken},
    deaggregate::{UserRecord, UserRecords},
    decode::decode,
    ranges::Ranges,
    record::Record,
};
use crate::{
    get::{error::GetError, stats::Counters},
    record::KinesisRecord,
    service::StreamId,
    shard::ShardId,
};

/// The taker of records from one page after the other, on the owner's task.
#[derive(Debug)]
pub(in crate::get) struct Taker {
    stream: StreamId,
    news: NewsSender,
    /// Present when checkpoints are kept.
    tracker: Option<Tracker>,
    splitting: Splitting,
    counters: Counters,
    page: Option<OpenPage>,
    /// Whether an error about a page has ended the reading.
    is_over: bool,
}

/// The treatment of aggregates.
#[derive(Clone, Debug)]
pub(in crate::get) struct Splitting {
    pub(in crate::get) keeps_aggregates: bool,
    pub(in crate::get) drops_strays: bool,
    pub(in crate::get) ranges: Ranges,
}

/// The page whose records are being given out.
#[derive(Debug)]
struct OpenPage {
    records: UserRecords,
    behind_latest: Option<Duration>,
    bytes: usize,
    counters: Counters,
}

/// Counts the records that were given out of a page, also if it is dropped early.
impl Drop for OpenPage {
    fn drop(&mut self) {
        self.counters.on_given(self.records.given());
    }
}

impl Taker {
    pub(in crate::get) fn new(
        stream: StreamId,
        news: NewsSender,
        tracker: Option<Tracker>,
        splitting: Splitting,
        counters: Counters,
    ) -> Self {
        Self {
            stream,
            news,
            tracker,
            splitting,
            counters,
            page: None,
            is_over: false,
        }
    }

    /// Returns another taker with the same settings, without a page.
    pub(super) fn like(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            news: self.news.clone(),
            tracker: self.tracker.as_ref().map(Tracker::like),
            splitting: self.splitting.clone(),
            counters: self.counters.clone(),
            page: None,
            is_over: false,
        }
    }

    /// Splits off the open page into a taker of its own. The record that was given out last is finished.
    pub(super) fn split_off(&mut self) -> Option<(ShardId, Self)> {
        self.on_asked();
        let page = self.page.take()?;
        let shard_id = page.records.shard_id().clone();
        let page = Some(page);
        Some((
            shard_id,
            Self {
                page,
                ..self.like()
            },
        ))
    }

    pub(in crate::get) fn stream(&self) -> &StreamId {
        &self.stream
    }

    pub(super) fn tracker(&self) -> Option<&Tracker> {
        self.tracker.as_ref()
    }

    /// Notes that the owner asks for the next record: the one given out last is finished.
    pub(super) fn on_asked(&mut self) {
        if let Some(tracker) = &mut self.tracker {
            tracker.on_asked();
        }
    }

    /// Opens the next page, after all records of the last one were given out.
    pub(super) fn open(&mut self, page: Page) {
        let range = self.splitting.ranges.of(&page.shard_id);
        let records = UserRecords::new(
            page.shard_id,
            page.records,
            page.finished,
            self.splitting.keeps_aggregates,
        )
        .within(range, self.splitting.drops_strays);
        self.page = Some(OpenPage {
            records,
            behind_latest: page.behind_latest,
            bytes: page.bytes,
            counters: self.counters.clone(),
        });
    }

    /// Polls for the next item: `take` takes it from the open page, and `poll_page` polls for the next page.
    ///
    /// All readers use this one function, which takes part in tokio's cooperative budget: pages have thousands of records,
    /// and without the budget a loop over them would never let another task run.
    #[inline]
    pub(in crate::get) fn poll_next<T>(
        &mut self,
        context: &mut Context<'_>,
        take: impl Fn(&mut Self) -> Option<Result<T, GetError>>,
        mut poll_page: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Page, GetError>>>,
    ) -> Poll<Option<Result<T, GetError>>> {
        self.on_asked();
        let progress = ready!(coop::poll_proceed(context));
        // A record has hundreds of bytes: the loop does not move it.
        let mut item = self.take_item(&take);
        while item.is_none() && !self.is_over {
            match ready!(poll_page(context)) {
                Some(Ok(page)) => self.open(page),
                Some(Err(error)) => {
                    item = Some(Err(error));
                    break;
                }
                None => break,
            }
            item = self.take_item(&take);
        }
        progress.made_progress();
        Poll::Ready(item)
    }

    #[inline]
    fn take_item<T>(
        &mut self,
        take: impl Fn(&mut Self) -> Option<Result<T, GetError>>,
    ) -> Option<Result<T, GetError>> {
        if self.is_over {
            return None;
        }
        let item = take(self);
        if let Some(Err(error)) = &item {
            self.is_over = error.ends_the_stream();
        }
        item
    }

    /// Whether an error about a page has ended the reading here.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes and decodes the next record of the open page; `None` if none is left.
    #[inline]
    pub(in crate::get) fn next<R: KinesisRecord>(&mut self) -> Option<Result<Record<R>, GetError>> {
        let read = self.next_read()?;
        let is_last = read.is_last;
        let item = decode(read, self.behind_latest());
        if item.is_err() {
            self.counters.on_undecodable();
        }
        let Some(tracker) = &mut self.tracker else {
            return Some(item);
        };
        Some(tracker.on_given(item, is_last, &self.stream))
    }

    /// Takes the next record of the open page as it is stored, with the lag of its page. If none is left it returns `None`
    /// and tells the driver that the page was taken.
    pub(in crate::get) fn next_raw(&mut self) -> Option<(UserRecord, Option<Duration>)> {
        let read = self.next_read()?;
        Some((read, self.behind_latest()))
    }

    #[inline]
    fn next_read(&mut self) -> Option<UserRecord> {
        let read = self.page.as_mut()?.records.next();
        if read.is_none() {
            self.leave();
        }
        read
    }

    fn behind_latest(&self) -> Option<Duration> {
        self.page.as_ref()?.behind_latest
    }

    /// Drops the rest of the open page and tells the driver that the page was taken.
    pub(in crate::get) fn leave(&mut self) {
        if let Some(page) = self.page.take() {
            if page.records.strays() > 0 {
                self.counters.on_strays(page.records.strays());
            }
            self.tell(News::Took(Taken {
                shard_id: page.records.shard_id().clone(),
                bytes: page.bytes,
            }));
        }
    }

    /// Sends a message to the driver. A driver that has ended needs none.
    pub(super) fn tell(&self, news: News) {
        let _ = self.news.send(news);
    }
}
