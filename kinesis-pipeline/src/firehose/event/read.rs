//! An event out of its JSON text.

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

fn scan_records<'a>(scanner: &mut Scanner<'a>) -> Result<Vec<InputRecord<'a>>, Malformed> {
    let mut records = Vec::new();
    scanner.open_array()?;
    while scanner.next_element()? {
        records.push(InputRecord::scan(scanner)?);
    }
    Ok(records)
}

impl<'a> InputRecord<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Result<Self, Malformed> {
        let (mut id, mut data, mut arrived_at, mut metadata) = (None, None, None, None);
        scanner.open_object()?;
        while let Some(key) = scanner.next_key()? {
            match &*key.as_bytes() {
                b"recordId" => id = Some(OwnId::scan(scanner)?),
                b"data" => data = scan_data(scanner)?,
                b"approximateArrivalTimestamp" => arrived_at = Field::scan(scanner)?.whole(),
                b"kinesisRecordMetadata" => metadata = KinesisMetadata::scan(scanner)?,
                _ => scanner.skip()?,
            }
        }
        Ok(Self {
            record_id: id.ok_or(scanner.malformed("a record has no id"))?,
            approximate_arrival_timestamp: arrived_at,
            data,
            kinesis_record_metadata: metadata.map(Box::new),
        })
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
