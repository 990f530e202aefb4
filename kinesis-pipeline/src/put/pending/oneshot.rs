//! Pooled oneshot channels, through which puts get their results.
//!
//! A channel of its own for each record would be an allocation that one thread makes and another frees. Here the slots
//! of 32 results share one allocation, with what is common to all of them: their context. Both ends of a channel are two
//! words, so that they are moved in registers.
//!
//! A slot holds what the other end needs: the waker of a receiver that waits, then the result. Most slots never hold
//! anything, as most results are not awaited, so what they hold is in a box, a slot is one word, and eight of them share a
//! lock. It is held while a message is put in or taken out.
//!
//! The two ends of a slot leave by setting their bits in one atomic word, so one of them is always the second, and the
//! second sees the first. It drops a result that was not fetched:
//!
//! ```text
//!   the sender leaves first                       the receiver leaves first
//!   sender    puts the result into the slot,      sender    looks: the receiver is there
//!             wakes the receiver                  receiver  sets its bit: the sender is there
//!   sender    sets its bit                        sender    puts the result into the slot
//!   receiver  sets its bit: the sender has left   sender    sets its bit: the receiver has left
//!   receiver  drops the result                    sender    drops the result
//! ```

use std::{
    array, fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::prefetch::Touched;

/// The number of channels in one allocation. It lives as long as any of them is in use.
const SLOTS: usize = 32;
/// The number of channels that share a lock.
const SLOTS_A_LOCK: usize = 8;

struct Block<T, C> {
    context: C,
    /// Bit i: receiver i was dropped. Bit 32+i: sender i was dropped. A sender whose receiver was dropped before touches
    /// no other memory of the block.
    gone: AtomicU64,
    slots: [Slots<T>; SLOTS / SLOTS_A_LOCK],
}

/// Slots that share a lock.
type Slots<T> = Mutex<[Held<T>; SLOTS_A_LOCK]>;

/// The message of a slot for the other end.
type Held<T> = Option<Box<Message<T>>>;

enum Message<T> {
    /// The receiver waits, and this wakes it.
    Waits(Waker),
    /// The result, which no other follows.
    Sent(T),
}

/// Formats the block without its results, which belong to other receivers.
impl<T, C> fmt::Debug for Block<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").finish_non_exhaustive()
    }
}

/// An allocator of channels: each pair gets the next free slot of the current block.
#[derive(Debug)]
pub(super) struct Blocks<T, C> {
    block: Arc<Block<T, C>>,
    used: usize,
}

/// The index of a slot, with the state of its end.
#[derive(Clone, Copy, Debug)]
struct Place(usize);

/// The state of an end that is new.
const NEW: usize = 0;
/// The state of a sender that has sent a result, and of a receiver whose slot may hold its waker.
const USED: usize = 1;
/// The state of a receiver that has returned its result.
const DONE: usize = 2;

impl Place {
    fn new(index: usize) -> Self {
        Self(NEW * SLOTS + index)
    }

    fn index(self) -> usize {
        self.0 % SLOTS
    }

    fn state(self) -> usize {
        self.0 / SLOTS
    }

    fn set(&mut self, state: usize) {
        self.0 = state * SLOTS + self.index();
    }
}

/// The sending end. If it is dropped without a result, the receiver gets `None`.
#[derive(Debug)]
pub(in crate::put) struct Sender<T, C> {
    block: Arc<Block<T, C>>,
    place: Place,
}

/// The receiving end.
#[derive(Debug)]
pub(super) struct Receiver<T, C> {
    block: Arc<Block<T, C>>,
    place: Place,
}

impl<T, C: Clone> Blocks<T, C> {
    /// Makes an allocator of channels with this context.
    pub(super) fn new(context: C) -> Self {
        Self {
            block: Arc::new(Block::new(context)),
            used: 0,
        }
    }

    pub(super) fn context(&self) -> &C {
        &self.block.context
    }

    #[inline]
    pub(super) fn pair(&mut self) -> (Sender<T, C>, Receiver<T, C>) {
        if self.used == SLOTS {
            *self = Self::new(self.context().clone());
        }
        let place = Place::new(self.used);
        self.used += 1;
        let sender = Sender {
            block: Arc::clone(&self.block),
            place,
        };
        let receiver = Receiver {
            block: Arc::clone(&self.block),
            place,
        };
        (sender, receiver)
    }
}

impl<T, C> Block<T, C> {
    fn new(context: C) -> Self {
        Self {
            context,
            gone: AtomicU64::new(0),
            slots: array::from_fn(|_| Mutex::new(array::from_fn(|_| None))),
        }
    }

    /// Changes what a slot holds, under its lock. `change` runs no code of others: it returns what it takes out, which is
    /// woken or dropped once the lock is free.
    #[inline]
    fn change<R>(&self, place: Place, change: impl FnOnce(&mut Held<T>) -> R) -> R {
        let slots = &self.slots[place.index() / SLOTS_A_LOCK];
        let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut slots[place.index() % SLOTS_A_LOCK])
    }

    /// Puts the result into the slot, and wakes the receiver if it waits.
    fn send(&self, place: Place, result: T) {
        let before = self.change(place, |held| replace(held, Message::Sent(result)));
        if let Some(Message::Waits(waker)) = before {
            waker.wake();
        }
    }

    /// Wakes the receiver if it waits.
    fn wake(&self, place: Place) {
        let held = self.change(place, Option::take);
        if let Some(Message::Waits(waker)) = held.map(|message| *message) {
            waker.wake();
        }
    }

    fn clear(&self, place: Place) {
        drop(self.change(place, Option::take));
    }

    fn has_gone(&self, end: u64) -> bool {
        self.gone.load(Ordering::Acquire) & end != 0
    }

    /// Marks an end as dropped. Returns whether the other end was dropped before.
    fn leave(&self, end: u64, other: u64) -> bool {
        self.gone.fetch_or(end, Ordering::AcqRel) & other != 0
    }
}

/// Returns the bit of a dropped receiver.
fn receiver(place: Place) -> u64 {
    1 << place.index()
}

/// Returns the bit of a dropped sender: its result was put into the slot, or none will come.
fn sender(place: Place) -> u64 {
    1 << (SLOTS + place.index())
}

impl<T, C> Sender<T, C> {
    /// Prefetches the memory that [`send`](Self::send) will read.
    pub(super) fn prefetch(&self) -> Touched {
        let has_gone = self.block.gone.load(Ordering::Relaxed) > 0;
        Touched::read(usize::from(has_gone))
    }

    /// Whether the receiver still exists.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.block.has_gone(receiver(self.place))
    }

    pub(super) fn send(mut self, result: T) {
        if self.is_waited_for() {
            self.place.set(USED);
            self.block.send(self.place, result);
        }
    }
}

impl<T, C> Drop for Sender<T, C> {
    fn drop(&mut self) {
        let is_left = self.block.leave(sender(self.place), receiver(self.place));
        match (is_left, self.place.state() == USED) {
            (false, false) => self.block.wake(self.place),
            // The receiver was dropped after `send` had looked for it.
            (true, true) => self.block.clear(self.place),
            // The result was sent, or the receiver was dropped before.
            (false, true) | (true, false) => {}
        }
    }
}

impl<T, C> Receiver<T, C> {
    pub(super) fn context(&self) -> &C {
        &self.block.context
    }

    /// Whether the result was returned.
    pub(super) fn is_done(&self) -> bool {
        self.place.state() == DONE
    }

    /// Polls for the result, `None` if none will come or it was returned.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.is_done() {
            return Poll::Ready(None);
        }
        let will_come = || !self.block.has_gone(sender(self.place));
        let mut waker = will_come().then(|| cx.waker().clone());
        let mut before = None;
        let taken = self.block.change(self.place, |held| {
            // A sender that is dropped sets its bit, then locks the slot to wake. It sees this waker, or this look sees
            // the bit.
            if let Some(Message::Waits(_)) | None = held.as_deref()
                && will_come()
                && let Some(waker) = waker.take()
            {
                before = replace(held, Message::Waits(waker));
                return Poll::Pending;
            }
            Poll::Ready(held.take())
        });
        self.place.set(if taken.is_ready() { DONE } else { USED });
        drop(before);
        taken.map(|message| match *message? {
            Message::Sent(result) => Some(result),
            Message::Waits(_) => None,
        })
    }
}

impl<T, C> Drop for Receiver<T, C> {
    fn drop(&mut self) {
        let is_left = self.block.leave(receiver(self.place), sender(self.place));
        // The block lives until its last slot is free, which may be much later.
        if is_left || self.place.state() == USED {
            self.block.clear(self.place);
        }
    }
}

/// Replaces what a slot holds, in the same box.
fn replace<T>(held: &mut Held<T>, message: Message<T>) -> Option<Message<T>> {
    if let Some(before) = held.as_deref_mut() {
        return Some(std::mem::replace(before, message));
    }
    *held = Some(Box::new(message));
    None
}

#[cfg(test)]
#[path = "oneshot_tests.rs"]
mod tests;
