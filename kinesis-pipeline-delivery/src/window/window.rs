use std::{
    collections::{BTreeMap, HashMap},
    io,
    time::{Duration, SystemTime},
};

use kinesis_pipeline::Position;

use super::{
    limits::Limits,
    object::{Folder, OpenObject, PART_BYTES, SealedObject, Spill},
};
use crate::encode::Encoder;

/// The size limit of objects from which they are uploaded in parts while they grow.
const SPILL_FROM_BYTES: u64 = 8 * PART_BYTES as u64;

/// The open objects of a shard.
///
/// Per record: [`ends_before`](Self::ends_before), [`begin_record`](Self::begin_record), [`add`](Self::add) for each
/// object that it goes into, then [`due`](Self::due). [`seal_all`](Self::seal_all) ends the window.
pub(crate) struct Window {
    limits: Limits,
    /// The encoder of delivered records and their copies; failed records have another.
    encoder: Encoder,
    failed_encoder: Encoder,
    /// Each open object, by its folder; `order` has the same folders.
    objects: HashMap<Folder, Slot>,
    /// The folders in LRU order, the coldest (least recently used) first.
    order: BTreeMap<u64, Folder>,
    stamp: u64,
    /// The sum of `memory_bytes` over all objects.
    memory_bytes: usize,
    /// The first and the last record of the window, also if they were dropped.
    range: Option<(Position, Position)>,
    /// The arrival of the first record.
    begun_at: Option<SystemTime>,
    /// The latest arrival of any record.
    newest: SystemTime,
    /// Folders whose objects have reached their size.
    full: Vec<Folder>,
}

struct Slot {
    object: OpenObject,
    stamp: u64,
}

impl Window {
    pub(crate) fn new(limits: Limits, encoder: Encoder, failed_encoder: Encoder) -> Self {
        Self {
            limits,
            encoder,
            failed_encoder,
            objects: HashMap::new(),
            order: BTreeMap::new(),
            stamp: 0,
            memory_bytes: 0,
            range: None,
            begun_at: None,
            newest: SystemTime::UNIX_EPOCH,
            full: Vec::new(),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets the limits of the next window.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        debug_assert!(self.range.is_none(), "the limits of a window stay");
        self.limits = limits;
    }

    /// Returns the first and the last record since the window began; `None` before there is one.
    pub(crate) fn range(&self) -> Option<&(Position, Position)> {
        self.range.as_ref()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Returns the time at which the window is complete without another record: at its age, or after the folders' idle
    /// time since the last record.
    pub(crate) fn due_at(&self) -> Option<SystemTime> {
        let by_age = self.begun_at? + self.limits.age;
        let by_idle = self.newest + self.limits.idle;
        Some(by_age.min(by_idle))
    }

    /// Whether the window ends before a record that arrived at this time.
    pub(crate) fn ends_before(&self, arrived_at: SystemTime) -> bool {
        self.begun_at
            .is_some_and(|begun_at| arrived_at >= begun_at + self.limits.age)
    }

    /// Notes a record, also one that is dropped.
    pub(crate) fn begin_record(&mut self, position: &Position, arrived_at: SystemTime) {
        match &mut self.range {
            Some((_, last)) => last.clone_from(position),
            None => self.range = Some((position.clone(), position.clone())),
        }
        self.begun_at.get_or_insert(arrived_at);
        self.newest = self.newest.max(arrived_at);
    }

    /// Whether an object of this folder is open.
    pub(crate) fn has(&self, folder: &Folder) -> bool {
        self.objects.contains_key(folder)
    }

    /// Appends a framed record to the object of its folder.
    pub(crate) fn add(
        &mut self,
        folder: &Folder,
        framed: &[u8],
        position: &Position,
        arrived_at: SystemTime,
    ) -> io::Result<()> {
        self.touch(folder, position, arrived_at);
        let slot = self.objects.get_mut(folder).expect("it was touched");
        let encoder = if folder.kind.is_failure() {
            &mut self.failed_encoder
        } else {
            &mut self.encoder
        };
        let (before, object_bytes) = (slot.object.memory_bytes(), self.limits.object_bytes);
        slot.object
            .add(framed, position, arrived_at, object_bytes, encoder)?;
        self.memory_bytes = self.memory_bytes - before + slot.object.memory_bytes();
        if slot.object.bytes() >= object_bytes && self.full.last() != Some(folder) {
            self.full.push(folder.clone());
        }
        Ok(())
    }

    /// Makes a folder the most recently used one; opens its object if it has none.
    fn touch(&mut self, folder: &Folder, position: &Position, arrived_at: SystemTime) {
        let newest = self.stamp;
        match self.objects.get_mut(folder) {
            // Most records go to the folder of the record before.
            Some(slot) if slot.stamp == newest => {}
            Some(slot) => {
                self.stamp += 1;
                let folder = self.order.remove(&slot.stamp).expect("it is in the order");
                slot.stamp = self.stamp;
                self.order.insert(self.stamp, folder);
            }
            None => {
                self.stamp += 1;
                let object = OpenObject::new(position.clone(), arrived_at);
                self.memory_bytes += object.memory_bytes();
                let stamp = self.stamp;
                self.objects.insert(folder.clone(), Slot { object, stamp });
                self.order.insert(stamp, folder.clone());
            }
        }
    }

    /// Takes out the objects that are complete after the last record: the full ones, those whose folders were idle, and
    /// the coldest while there are too many or the memory is used up. Returns with them the window's first record.
    ///
    /// If none is open then, a new window begins.
    pub(crate) fn due(&mut self) -> io::Result<Option<(Position, Vec<SealedObject>)>> {
        let mut sealed = Vec::new();
        for folder in std::mem::take(&mut self.full) {
            self.seal(&folder, &mut sealed)?;
        }
        while self.coldest_is_idle() {
            self.seal_coldest(&mut sealed)?;
        }
        if self.memory_bytes > self.limits.memory_bytes || self.objects.len() > self.limits.folders
        {
            // Half of it at once: each time costs a write of the lease.
            while self.memory_bytes > self.limits.memory_bytes / 2
                || self.objects.len() > self.limits.folders / 2
            {
                self.seal_coldest(&mut sealed)?;
            }
        }
        let due = match &self.range {
            Some((first, _)) if !sealed.is_empty() => Some((first.clone(), sealed)),
            _ => None,
        };
        if self.objects.is_empty() && due.is_some() {
            self.reset();
        }
        Ok(due)
    }

    fn coldest_is_idle(&self) -> bool {
        let Some((_, folder)) = self.order.first_key_value() else {
            return false;
        };
        let last_arrival = self.objects[folder].object.last_arrival;
        self.newest.duration_since(last_arrival).unwrap_or_default()
            >= self.limits.idle.max(Duration::from_millis(1))
    }

    fn seal_coldest(&mut self, sealed: &mut Vec<SealedObject>) -> io::Result<()> {
        match self.order.first_key_value() {
            Some((_, folder)) => self.seal(&folder.clone(), sealed),
            None => Ok(()),
        }
    }

    fn seal(&mut self, folder: &Folder, sealed: &mut Vec<SealedObject>) -> io::Result<()> {
        // A folder may be listed as full twice; its object is sealed once.
        let Some((folder, slot)) = self.objects.remove_entry(folder) else {
            return Ok(());
        };
        self.order.remove(&slot.stamp);
        self.memory_bytes -= slot.object.memory_bytes();
        let encoder = if folder.kind.is_failure() {
            &mut self.failed_encoder
        } else {
            &mut self.encoder
        };
        sealed.push(slot.object.seal(folder, encoder)?);
        Ok(())
    }

    /// Ends the window: takes out all objects, and begins anew.
    pub(crate) fn seal_all(&mut self) -> io::Result<Vec<SealedObject>> {
        let mut sealed = Vec::with_capacity(self.objects.len());
        while !self.order.is_empty() {
            self.seal_coldest(&mut sealed)?;
        }
        self.reset();
        Ok(sealed)
    }

    fn reset(&mut self) {
        (self.range, self.begun_at) = (None, None);
        self.full.clear();
    }

    /// Takes a part out of an object that is too large for memory.
    pub(crate) fn spill(&mut self, folder: &Folder) -> Option<Spill> {
        if self.limits.object_bytes < SPILL_FROM_BYTES {
            return None;
        }
        let slot = self.objects.get_mut(folder)?;
        let before = slot.object.memory_bytes();
        let spill = slot.object.spill(folder)?;
        self.memory_bytes = self.memory_bytes - before + slot.object.memory_bytes();
        Some(spill)
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
