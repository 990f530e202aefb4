use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::{
    Failure, FailureReason, InputRecord, Outcome, base64,
    guard::Room,
    output::{Answer, FRAME_BYTES, RESPONSE_END, RESPONSE_START, keys_json, least_bytes},
    record::Made,
};

/// The response of a transform: its JSON text, and the outcome of the records.
///
/// To return it through `lambda_runtime`, serialize it with `serde_json`, or send [`into_json`](Self::into_json).
#[derive(Debug)]
#[must_use = "Firehose waits for it"]
pub struct Response {
    pub(super) json: Vec<u8>,
    pub(super) kept: usize,
    pub(super) dropped: usize,
    pub(super) reingested: usize,
    pub(super) failures: Vec<Failure>,
}

impl Response {
    /// Returns the JSON text.
    #[must_use]
    pub fn as_json(&self) -> &[u8] {
        &self.json
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn into_json(self) -> Vec<u8> {
        self.json
    }

    /// Returns the number of delivered records. A record with several outputs counts once.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Returns the number of records that the function dropped.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Returns the number of records that did not fit and were put again. They are answered as dropped.
    pub fn reingested(&self) -> usize {
        self.reingested
    }

    /// Returns the records that failed.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

/// Writes the JSON text unchanged. Only `serde_json` can do so.
impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_slice(&self.json).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

/// The response under construction. `answer` or `skip` is called once for every record of the event.
#[derive(Debug)]
pub(super) struct Writer<'e> {
    records: &'e [InputRecord<'e>],
    room: Room,
    response: Response,
    return_dropped_data: bool,
    /// The records whose answers did not fit: their index, and the bytes of the answer.
    pub(super) overflow: Vec<(usize, usize)>,
}

impl<'e> Writer<'e> {
    pub(super) fn new(
        records: &'e [InputRecord<'e>],
        response_bytes_max: usize,
        return_dropped_data: bool,
    ) -> Self {
        let mut room = Room::new(response_bytes_max, FRAME_BYTES);
        for record in records {
            room.expect(least_bytes(record.id()), data_bytes(record));
        }
        let mut json = Vec::with_capacity(room.expected_bytes());
        json.extend_from_slice(RESPONSE_START);
        Self {
            records,
            room,
            response: Response {
                json,
                kept: 0,
                dropped: 0,
                reingested: 0,
                failures: Vec::new(),
            },
            return_dropped_data,
            overflow: Vec::new(),
        }
    }

    /// Notes that another record answers for this one.
    pub(super) fn skip(&mut self, index: usize) {
        let record = &self.records[index];
        self.room.look_at(data_bytes(record));
        self.room.take(least_bytes(record.id()), 0);
    }

    /// Answers a record with the outcome of its transform.
    pub(super) fn answer(&mut self, index: usize, made: Result<Made, FailureReason>, data: &[u8]) {
        self.room.look_at(data_bytes(&self.records[index]));
        match made {
            Ok(Made::Keep(None)) => self.keep(index, None, data),
            Ok(Made::Keep(Some(keys))) => self.keep(index, Some(&keys_json(&keys)), data),
            Ok(Made::Drop) => {
                self.response.dropped += 1;
                self.give_back(index, Outcome::Dropped, self.return_dropped_data);
            }
            Err(reason) => self.fail(index, reason),
        }
    }

    fn keep(&mut self, index: usize, keys_json: Option<&str>, data: &[u8]) {
        let answer = self.to(index, Outcome::Ok, keys_json);
        let data_bytes = base64::encoded_bytes(data.len());
        let (least_bytes, answer_bytes) = (least_bytes(answer.record_id), answer.bytes(data_bytes));
        if !self.room.fits(answer_bytes.saturating_sub(least_bytes)) {
            return self.overflow.push((index, answer_bytes));
        }
        answer.write(&mut self.response.json, |out| base64::encode(data, out));
        self.room.take(least_bytes, answer_bytes);
        self.response.kept += 1;
    }

    pub(super) fn fail(&mut self, index: usize, reason: FailureReason) {
        self.response.failures.push(Failure {
            index,
            record_id: self.records[index].record_id().to_owned(),
            reason,
        });
        self.give_back(index, Outcome::ProcessingFailed, true);
    }

    /// Notes that a record that did not fit was put again.
    pub(super) fn reingested(&mut self, index: usize) {
        self.response.reingested += 1;
        self.give_back(index, Outcome::Dropped, false);
    }

    /// Answers with the record's original data, if there is room for it beside the other records.
    fn give_back(&mut self, index: usize, result: Outcome, with_data: bool) {
        let answer = self.to(index, result, None);
        let data = self.records[index].data_base64().unwrap_or_default();
        let returned = with_data
            && self.room.fits_beside_the_rest(data.len())
            && base64_simd::STANDARD.check(data).is_ok();
        let data = if returned { data } else { &[] };
        answer.write(&mut self.response.json, |out| {
            out.extend_from_slice(data);
        });
        self.room
            .take(least_bytes(answer.record_id), answer.bytes(data.len()));
    }

    fn to<'a>(&self, index: usize, result: Outcome, keys_json: Option<&'a str>) -> Answer<'a>
    where
        'e: 'a,
    {
        Answer {
            record_id: self.records[index].id(),
            result,
            keys_json,
        }
    }

    pub(super) fn finish(self) -> Response {
        let mut response = self.response;
        response.json.extend_from_slice(RESPONSE_END);
        response
    }
}

fn data_bytes(record: &InputRecord<'_>) -> usize {
    record.data_base64().map_or(0, <[u8]>::len)
}
