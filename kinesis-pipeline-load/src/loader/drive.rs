//! The driver of a load: takes batches as they come, and puts them or counts them in a trial.

use std::{sync::Arc, time::Duration};

use kinesis_pipeline::{
    EncodedRecord, Producer,
    service::{ErrorClass, PutCheck, PutRecords},
};

use super::{
    Loader,
    load::{Course, Reading},
};
use crate::{
    LoadError, LoadReport,
    run::{
        batch::{Batches, Mark},
        flight::Flight,
        markers::{self, Edge},
        progress::{Bar, DRAW_EVERY, get},
        scale,
        shards::OpenShards,
        trial::Trial,
    },
};

/// The longest time between two writes of the resume file.
const MARK_EVERY: Duration = Duration::from_secs(1);

impl Loader {
    pub(super) async fn drive(
        &self,
        mut reading: Reading,
        course: Course,
    ) -> Result<LoadReport, LoadError> {
        let start = self.stream.clock().instant();
        let mut report = LoadReport {
            trial: self.trial,
            resumed_rows: course.resumed.as_ref().map_or(0, |mark| mark.rows),
            ..LoadReport::default()
        };
        let mark = if self.trial {
            self.drive_trial(&mut reading.batches, &mut report).await?
        } else {
            self.drive_scaled(&mut reading.batches, &course, &mut report)
                .await?
        };
        // Only then it is known whether all rows were read.
        reading.ended().await?;
        report.stopped = self.progress.is_stopped();
        let mark = mark.or(course.resumed).unwrap_or_default();
        if let (Some(id), false, false) = (&self.snapshot, self.trial, report.stopped) {
            markers::put(&self.stream, id, &course.tables, Edge::End(&mark)).await?;
        }
        report.count(mark, course.tables);
        report.seconds = start.elapsed().as_secs_f64();
        Ok(report)
    }

    async fn drive_trial(
        &self,
        batches: &mut Batches,
        report: &mut LoadReport,
    ) -> Result<Option<Mark>, LoadError> {
        let service = self.stream.service();
        let shards = OpenShards::list(&**service, self.stream.id()).await?;
        let mut trial = Trial::new(shards, self.samples);
        let mut mark = None;
        while let Some(batch) = batches.next().await {
            trial.take(&batch);
            if let (None, Some(record)) = (&report.permission, batch.records.first()) {
                report.permission = Some(self.permission(record.clone()).await);
            }
            mark = Some(batch.mark);
        }
        report.records = trial.records;
        report.bytes = trial.bytes;
        report.shards = trial.per_shard();
        report.samples = trial.samples;
        Ok(mark)
    }

    /// Returns the service's answer to a dry run of a put of this record.
    async fn permission(&self, record: EncodedRecord) -> String {
        let call = PutRecords::new(self.stream.id().clone(), vec![record]);
        match self.stream.service().check_put_records(call).await {
            Ok(PutCheck::Allowed) => "allowed".to_owned(),
            Ok(_) => "unknown: this service cannot be asked without storing the record".to_owned(),
            Err(error) => match error.class {
                ErrorClass::AccessDenied => format!("no permission: {error}"),
                ErrorClass::NotFound => format!("no such stream: {error}"),
                _ => error.to_string(),
            },
        }
    }

    fn producer(&self) -> Result<Producer<EncodedRecord>, LoadError> {
        let producer = self.stream.producer();
        Ok(producer
            .aggregate(self.aggregate)
            .order(self.order)
            .build()?)
    }

    /// Scales the stream for the load, and back after its end or failure.
    async fn drive_scaled(
        &self,
        batches: &mut Batches,
        course: &Course,
        report: &mut LoadReport,
    ) -> Result<Option<Mark>, LoadError> {
        let Some(target) = self.scale_to else {
            return self.drive_puts(batches, course, report).await;
        };
        let before = scale::to(&self.stream, target).await?;
        let driven = self.drive_puts(batches, course, report).await;
        let Some(shards) = before else {
            return driven;
        };
        let back = scale::to(&self.stream, shards).await;
        let mark = driven?;
        back.map_err(|error| LoadError::ScaleBack {
            shards,
            source: Box::new(error),
        })?;
        Ok(mark)
    }

    async fn drive_puts(
        &self,
        batches: &mut Batches,
        course: &Course,
        report: &mut LoadReport,
    ) -> Result<Option<Mark>, LoadError> {
        if let (Some(id), None) = (&self.snapshot, &course.resumed) {
            markers::put(&self.stream, id, &course.tables, Edge::Begin).await?;
        }
        let (progress, resume) = (Arc::clone(&self.progress), course.resume.clone());
        let mut flight = Flight::new(self.producer()?, progress, resume, self.resume_window);
        let flown = self.fly(&mut flight, batches, course.total).await;
        // Records that are stored before a failed one need not be sent again.
        flight.write_mark().await?;
        flown?;
        report.records = get(&self.progress.records);
        report.bytes = get(&self.progress.bytes);
        report.throttled = flight.throttled();
        report.shards = flight.per_shard();
        Ok(flight.mark().cloned())
    }

    async fn fly(
        &self,
        flight: &mut Flight,
        batches: &mut Batches,
        total: Option<u64>,
    ) -> Result<(), LoadError> {
        let bar = if self.show_progress {
            Bar::new(total)
        } else {
            None
        };
        let start = self.stream.clock().instant();
        let mut mark_timer = tokio::time::interval(MARK_EVERY);
        let mut draw_timer = tokio::time::interval(DRAW_EVERY);
        let mut is_reading = true;
        while is_reading || !flight.is_empty() {
            tokio::select! {
                landed = flight.landed(), if !flight.is_empty() => {
                    landed?;
                    if flight.is_mark_due() {
                        flight.write_mark().await?;
                    }
                }
                batch = batches.next(), if is_reading && flight.has_room() => match batch {
                    Some(batch) => flight.put(batch).await?,
                    None => is_reading = false,
                },
                _ = mark_timer.tick() => flight.write_mark().await?,
                _ = draw_timer.tick(), if bar.is_some() => {
                    if let Some(bar) = &bar {
                        bar.draw(&self.progress, flight.throttled(), start.elapsed());
                    }
                }
            }
        }
        Ok(())
    }
}
