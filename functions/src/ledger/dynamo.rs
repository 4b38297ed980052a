//! The table in `DynamoDB`: `pk` and `sk` (strings), `v` version, `schema`, `body` (JSON text), `expires` (seconds since
//! 1970, the table's time-to-live attribute). Every read is a strongly consistent one.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use jiff::Timestamp;

use super::table::{BODY_LIMIT, Expect, Key, Pending, Range, Row, SCHEMA, Table, TableError};
use crate::clients::Clients;

/// A `DynamoDB` table.
#[derive(Debug)]
pub struct Dynamo {
    clients: Arc<Clients>,
    name: String,
}

type Item = HashMap<String, AttributeValue>;

impl Dynamo {
    /// The table of this name.
    pub fn new(clients: Arc<Clients>, name: &str) -> Self {
        Self { clients, name: name.to_owned() }
    }

    async fn read_row(&self, key: &Key) -> Result<Option<Row>, TableError> {
        let request = self.clients.dynamodb().await.get_item().table_name(&self.name).set_key(Some(key_item(key)));
        let answer = request.consistent_read(true).send().await.map_err(|error| failure(&error))?;
        answer.item.as_ref().map(row).transpose()
    }

    async fn write_row(&self, row: Row, expect: Expect) -> Result<bool, TableError> {
        if row.body.len() > BODY_LIMIT {
            return Err(TableError::TooLong { length: row.body.len() });
        }
        let request = self.clients.dynamodb().await.update_item().table_name(&self.name);
        let request = request
            .set_key(Some(key_item(&row.key)))
            .update_expression(SET)
            .expression_attribute_names("#schema", "schema")
            .set_expression_attribute_values(Some(values(row, expect)))
            .set_condition_expression(condition(expect));
        done(request.send().await)
    }

    async fn write_rows(&self, rows: Vec<(Row, Expect)>) -> Result<bool, TableError> {
        let mut request = self.clients.dynamodb().await.transact_write_items();
        for (row, expect) in rows {
            let update = Update::builder()
                .table_name(&self.name)
                .set_key(Some(key_item(&row.key)))
                .update_expression(SET)
                .expression_attribute_names("#schema", "schema")
                .set_expression_attribute_values(Some(values(row, expect)))
                .set_condition_expression(condition(expect));
            let update = update.build().map_err(|_| TableError::Layout)?;
            request = request.transact_items(TransactWriteItem::builder().update(update).build());
        }
        match request.send().await {
            // Whatever it was cancelled for: whoever writes the rows one by one will learn.
            Err(error) if error.code() == Some("TransactionCanceledException") => Ok(false),
            answer => done(answer),
        }
    }

    async fn remove_row(&self, key: &Key, expect: Expect) -> Result<bool, TableError> {
        let request = self.clients.dynamodb().await.delete_item().table_name(&self.name).set_key(Some(key_item(key)));
        let request = request.set_condition_expression(condition(expect));
        let request = match expect {
            Expect::Version(version) => request.expression_attribute_values(":v", number(version)),
            Expect::Absent | Expect::Any => request,
        };
        done(request.send().await)
    }

    async fn query_rows(&self, range: &Range) -> Result<Vec<Row>, TableError> {
        let (mut rows, mut start) = (Vec::new(), None);
        let limit = range.limit as usize;
        // BETWEEN takes one range; a prefix alone is the range up to the last character that can follow it.
        let from = range.after.clone().unwrap_or_else(|| range.prefix.clone());
        // A key is never empty, and an empty bound is refused.
        let from = if from.is_empty() { "\0".to_owned() } else { from };
        let to = range.until.clone().unwrap_or_else(|| format!("{}\u{10FFFF}", range.prefix));
        if from > to {
            return Ok(rows);
        }
        loop {
            let request = self.clients.dynamodb().await.query().table_name(&self.name).consistent_read(true);
            let request = request
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", AttributeValue::S(range.pk.clone()))
                .expression_attribute_values(":from", AttributeValue::S(from.clone()))
                .expression_attribute_values(":to", AttributeValue::S(to.clone()))
                .limit(i32::try_from(range.limit.saturating_add(1)).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start);
            let answer = request.send().await.map_err(|error| failure(&error))?;
            for item in answer.items.unwrap_or_default() {
                let row = row(&item)?;
                let within = row.key.sk.starts_with(&range.prefix) && range.after.as_ref() != Some(&row.key.sk);
                if within && rows.len() < limit {
                    rows.push(row);
                }
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || rows.len() >= limit {
                return Ok(rows);
            }
        }
    }
}

impl Table for Dynamo {
    fn read<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Row>> {
        Box::pin(self.read_row(key))
    }

    fn write(&self, row: Row, expect: Expect) -> Pending<'_, bool> {
        Box::pin(self.write_row(row, expect))
    }

    fn write_together(&self, rows: Vec<(Row, Expect)>) -> Pending<'_, bool> {
        Box::pin(self.write_rows(rows))
    }

    fn remove<'a>(&'a self, key: &'a Key, expect: Expect) -> Pending<'a, bool> {
        Box::pin(self.remove_row(key, expect))
    }

    fn query(&self, range: Range) -> Pending<'_, Vec<Row>> {
        Box::pin(async move { self.query_rows(&range).await })
    }
}

const SET: &str = "SET body = :body, expires = :expires, #schema = :schema, v = if_not_exists(v, :zero) + :one";

/// Values of [`SET`] and of the condition.
fn values(row: Row, expect: Expect) -> Item {
    let values = [
        (":body", AttributeValue::S(row.body)),
        (":expires", number(row.expires.as_second())),
        (":schema", number(SCHEMA)),
        (":zero", number(0)),
        (":one", number(1)),
    ];
    let expected = match expect {
        Expect::Version(version) => Some((":v", number(version))),
        Expect::Absent | Expect::Any => None,
    };
    values.into_iter().chain(expected).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn condition(expect: Expect) -> Option<String> {
    match expect {
        Expect::Absent => Some("attribute_not_exists(pk)".to_owned()),
        Expect::Version(_) => Some("v = :v".to_owned()),
        Expect::Any => None,
    }
}

fn key_item(key: &Key) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))])
}

fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

fn row(item: &Item) -> Result<Row, TableError> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().ok_or(TableError::Layout);
    let number = |name: &str| {
        let text = item.get(name).and_then(|value| value.as_n().ok()).ok_or(TableError::Layout)?;
        text.parse::<i64>().map_err(|_| TableError::Layout)
    };
    if number("schema")? != i64::from(SCHEMA) {
        return Err(TableError::Layout);
    }
    Ok(Row {
        key: Key { pk: text("pk")?, sk: text("sk")? },
        version: u64::try_from(number("v")?).map_err(|_| TableError::Layout)?,
        body: text("body")?,
        expires: Timestamp::from_second(number("expires")?).map_err(|_| TableError::Layout)?,
    })
}

type HttpResponse = aws_sdk_dynamodb::config::http::HttpResponse;

/// A write whose condition did not hold is an answer, not a failure.
fn done<T, E: ProvideErrorMetadata>(answer: Result<T, SdkError<E, HttpResponse>>) -> Result<bool, TableError> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(failure(&error)),
    }
}

fn failure<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> TableError {
    match error {
        SdkError::TimeoutError(_) => return TableError::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => return TableError::Timeout,
        _ => {}
    }
    match error.code() {
        Some("ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded") => {
            TableError::Throttled
        }
        Some("AccessDeniedException") => TableError::Denied,
        code => TableError::Service { code: code.unwrap_or("Connection").to_owned() },
    }
}
