//! A reader of an event's JSON text.

use std::borrow::Cow;

use super::{Event, InputRecord, KinesisMetadata};
use crate::{
    firehose::{id::OwnId, lenient::Field},
    json::{Kind, Malformed, Scanner},
};

impl<'a> Event<'a> {
    pub(super) fn scan(json: &'a [u8]) -> Result<Self, Malformed> {
        let mut scanner = Scanner::new(json);
        let (mut event, mut records) = (Self::default(), None);
        scanner.open_object()?;
        while let Some(key) = scanner.next_key()? {
            match &*key.as_bytes() {
                b"records" => records = Some(scan_records(&mut scanner)?),
                b"invocationId" => event.invocation_id = Field::scan(&mut scanner)?.text_or_empty(),
                b"deliveryStreamArn" => {
                    event.delivery_stream_arn = Field::scan(&mut scanner)?.text_or_empty();
                }
                b"sourceKinesisStreamArn" => {
                    event.source_kinesis_stream_arn = Field::scan(&mut scanner)?.filled_text();
                }
                b"region" => event.region = Field::scan(&mut scanner)?.text_or_empty(),
                _ => scanner.skip()?,
            }
        }
        scanner.end()?;
        event.records = records.ok_or(scanner.malformed("there are no records"))?;
        Ok(event)
    }
}

/// The limit of records for which memory is reserved at once.
const ROOM_RECORDS_MAX: usize = 10_000;

fn scan_records<'a>(scanner: &mut Scanner<'a>) -> Result<Vec<InputRecord<'a>>, Malformed> {
    let mut records = Vec::new();
    scanner.open_array()?;
    while scanner.next_element()? {
        let rest_bytes = scanner.rest_bytes();
        // The record is read in its final place: reading and then moving it takes half as much time again.
        records.push(InputRecord::unread());
        if let Some(record) = records.last_mut() {
            record.scan(scanner)?;
        }
        if records.len() == 1 {
            // Records of an event are mostly of one size, so the list is reserved at once and does not move while it
            // grows.
            let record_bytes = rest_bytes - scanner.rest_bytes();
            records.reserve((rest_bytes / record_bytes).min(ROOM_RECORDS_MAX));
        }
    }
    Ok(records)
}

impl<'a> InputRecord<'a> {
    fn unread() -> Self {
        Self {
            record_id: OwnId::default(),
            approximate_arrival_timestamp: None,
            data: None,
            kinesis_record_metadata: None,
        }
    }

    fn scan(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        scanner.open_object()?;
        while let Some(key) = scanner.next_key()? {
            match &*key.as_bytes() {
                b"recordId" => self.record_id.scan(scanner)?,
                b"data" => self.data = scan_data(scanner)?,
                b"approximateArrivalTimestamp" => {
                    self.approximate_arrival_timestamp = Field::scan(scanner)?.whole();
                }
                b"kinesisRecordMetadata" => {
                    self.kinesis_record_metadata = KinesisMetadata::scan(scanner)?.map(Box::new);
                }
                _ => scanner.skip()?,
            }
        }
        if self.record_id.is_empty() {
            return Err(scanner.malformed("a record has no id"));
        }
        Ok(())
    }
}

fn scan_data<'a>(scanner: &mut Scanner<'a>) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
    if scanner.kind()? != Kind::Text {
        return scanner.skip().map(|()| None);
    }
    Ok(Some(scanner.string()?.as_bytes()))
}

impl<'a> KinesisMetadata<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Result<Option<Self>, Malformed> {
        if scanner.kind()? != Kind::Object {
            return scanner.skip().map(|()| None);
        }
        let mut metadata = Self::default();
        scanner.open_object()?;
        while let Some(key) = scanner.next_key()? {
            match &*key.as_bytes() {
                b"shardId" => metadata.shard_id = Field::scan(scanner)?.filled_text(),
                b"partitionKey" => metadata.partition_key = Field::scan(scanner)?.filled_text(),
                b"approximateArrivalTimestamp" => {
                    metadata.approximate_arrival_timestamp = Field::scan(scanner)?.whole();
                }
                b"sequenceNumber" => metadata.sequence_number = Field::scan(scanner)?.filled_text(),
                b"subsequenceNumber" => metadata.subsequence_number = Field::scan(scanner)?.whole(),
                _ => scanner.skip()?,
            }
        }
        Ok(Some(metadata))
    }
}
