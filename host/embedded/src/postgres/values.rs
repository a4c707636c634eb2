//! Converts values between the guest's types and PostgreSQL's, as Spin does.
//!
//! Each kind of value fits one PostgreSQL type, or a few similar ones: an `int64` does not fit an `integer` column, nor a `str` a `jsonb` one.
//! Accepting more than Spin would mislead.

use bytes::{Buf, BufMut, BytesMut};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use postgres_protocol::IsNull as BoundIsNull;
use postgres_protocol::types::{Range as RawRange, RangeBound, range_from_sql, range_to_sql};
use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::bindings::spin::postgres::postgres::{
    Column, DbDataType, DbValue, Interval, ParameterValue, RangeBoundKind,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Parameter = Box<dyn ToSql + Send + Sync>;
type Bound<T> = Option<(T, RangeBoundKind)>;

/// The parameters for the driver. The error is a text for the guest.
pub(super) fn parameters(values: &[ParameterValue]) -> Result<Vec<Parameter>, String> {
    values.iter().map(parameter).collect::<Result<_, _>>().map_err(|error: BoxError| error.to_string())
}

/// The names of a row's columns and the types of their values.
pub(super) fn columns(row: &Row) -> Vec<Column> {
    let column = |column: &tokio_postgres::Column| Column {
        name: column.name().to_owned(),
        data_type: data_type(column.type_()),
    };
    row.columns().iter().map(column).collect()
}

pub(super) fn values(row: &Row) -> Result<Vec<DbValue>, tokio_postgres::Error> {
    (0..row.len()).map(|column| row.try_get(column)).collect()
}

/// A row's size in memory.
pub(super) fn row_bytes(row: &[DbValue]) -> usize {
    fn texts(texts: &[Option<String>]) -> usize {
        texts.iter().map(|text| size_of::<Option<String>>() + text.as_ref().map_or(0, String::len)).sum()
    }
    let content = |value: &DbValue| match value {
        DbValue::Str(text) | DbValue::Uuid(text) | DbValue::Decimal(text) => text.len(),
        DbValue::Binary(bytes) | DbValue::Jsonb(bytes) | DbValue::Unsupported(bytes) => bytes.len(),
        DbValue::ArrayInt32(integers) => size_of_val(integers.as_slice()),
        DbValue::ArrayInt64(integers) => size_of_val(integers.as_slice()),
        DbValue::ArrayDecimal(array) | DbValue::ArrayStr(array) => texts(array),
        _ => 0,
    };
    row.iter().map(|value| size_of::<DbValue>() + content(value)).sum()
}

fn data_type(ty: &Type) -> DbDataType {
    match *ty {
        Type::BOOL => DbDataType::Boolean,
        Type::BYTEA => DbDataType::Binary,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
        Type::DATE => DbDataType::Date,
        Type::TIME => DbDataType::Time,
        Type::UUID => DbDataType::Uuid,
        Type::JSONB => DbDataType::Jsonb,
        Type::NUMERIC => DbDataType::Decimal,
        Type::INTERVAL => DbDataType::Interval,
        Type::INT4_RANGE => DbDataType::RangeInt32,
        Type::INT8_RANGE => DbDataType::RangeInt64,
        Type::NUM_RANGE => DbDataType::RangeDecimal,
        Type::INT4_ARRAY => DbDataType::ArrayInt32,
        Type::INT8_ARRAY => DbDataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
        _ => DbDataType::Other(ty.name().to_owned()),
    }
}

impl<'a> FromSql<'a> for DbValue {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(match *ty {
            Type::BOOL => Self::Boolean(FromSql::from_sql(ty, raw)?),
            Type::BYTEA => Self::Binary(FromSql::from_sql(ty, raw)?),
            Type::FLOAT4 => Self::Floating32(FromSql::from_sql(ty, raw)?),
            Type::FLOAT8 => Self::Floating64(FromSql::from_sql(ty, raw)?),
            Type::INT2 => Self::Int16(FromSql::from_sql(ty, raw)?),
            Type::INT4 => Self::Int32(FromSql::from_sql(ty, raw)?),
            Type::INT8 => Self::Int64(FromSql::from_sql(ty, raw)?),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => Self::Str(FromSql::from_sql(ty, raw)?),
            Type::TIMESTAMP => {
                let (date, time) = DateTime::from_sql(ty, raw).map(|both| (both.date(), both.time()))?;
                let ((year, month, day), (hour, minute, second, nanosecond)) = (date_to_wit(date)?, time_to_wit(time)?);
                Self::Datetime((year, month, day, hour, minute, second, nanosecond))
            }
            // Spin reports such a column as a datetime and then cannot read it.
            Type::TIMESTAMPTZ => {
                return Err("Spin cannot read timestamptz: cast it, or take extract(epoch from ...)".into());
            }
            Type::DATE => Self::Date(date_to_wit(Date::from_sql(ty, raw)?)?),
            Type::TIME => Self::Time(time_to_wit(Time::from_sql(ty, raw)?)?),
            Type::UUID => Self::Uuid(Uuid::from_sql(ty, raw)?.to_string()),
            Type::JSONB => Self::Jsonb(serde_json::to_vec(&serde_json::Value::from_sql(ty, raw)?)?),
            Type::NUMERIC => Self::Decimal(Decimal::from_sql(ty, raw)?.to_string()),
            Type::INTERVAL => Self::Interval(interval(raw)?),
            Type::INT4_RANGE => Self::RangeInt32(range(ty, raw)?),
            Type::INT8_RANGE => Self::RangeInt64(range(ty, raw)?),
            Type::NUM_RANGE => {
                let (lower, upper): (Bound<Decimal>, Bound<Decimal>) = range(ty, raw)?;
                let text = |bound: Bound<Decimal>| bound.map(|(value, kind)| (value.to_string(), kind));
                Self::RangeDecimal((text(lower), text(upper)))
            }
            Type::INT4_ARRAY => Self::ArrayInt32(FromSql::from_sql(ty, raw)?),
            Type::INT8_ARRAY => Self::ArrayInt64(FromSql::from_sql(ty, raw)?),
            Type::NUMERIC_ARRAY => {
                let array: Vec<Option<Decimal>> = FromSql::from_sql(ty, raw)?;
                Self::ArrayDecimal(array.iter().map(|value| value.as_ref().map(Decimal::to_string)).collect())
            }
            Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => Self::ArrayStr(FromSql::from_sql(ty, raw)?),
            _ => Self::Unsupported(raw.to_vec()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Self::DbNull)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn parameter(value: &ParameterValue) -> Result<Parameter, BoxError> {
    Ok(match value {
        ParameterValue::Boolean(value) => Box::new(*value),
        ParameterValue::Int8(value) => Box::new(*value),
        ParameterValue::Int16(value) => Box::new(*value),
        ParameterValue::Int32(value) => Box::new(*value),
        ParameterValue::Int64(value) => Box::new(*value),
        ParameterValue::Floating32(value) => Box::new(*value),
        ParameterValue::Floating64(value) => Box::new(*value),
        ParameterValue::Str(value) => Box::new(value.clone()),
        ParameterValue::Binary(value) => Box::new(value.clone()),
        ParameterValue::Date(value) => Box::new(date(*value)?),
        ParameterValue::Time(value) => Box::new(time(*value)?),
        ParameterValue::Datetime((year, month, day, hour, minute, second, nanosecond)) => {
            let date = date((*year, *month, *day))?;
            Box::new(DateTime::from_parts(date, time((*hour, *minute, *second, *nanosecond))?))
        }
        ParameterValue::Timestamp(value) => Box::new(Timestamp::from_second(*value)?),
        ParameterValue::Uuid(value) => Box::new(Uuid::parse_str(value)?),
        ParameterValue::Jsonb(value) => Box::new(serde_json::from_slice::<serde_json::Value>(value)?),
        ParameterValue::Decimal(value) => Box::new(Decimal::from_str_exact(value)?),
        ParameterValue::RangeInt32((lower, upper)) => Box::new(Range(*lower, *upper)),
        ParameterValue::RangeInt64((lower, upper)) => Box::new(Range(*lower, *upper)),
        ParameterValue::RangeDecimal((lower, upper)) => {
            let decimal = |bound: &Bound<String>| {
                let exact = |(value, kind): &(String, _)| Ok::<_, BoxError>((Decimal::from_str_exact(value)?, *kind));
                bound.as_ref().map(exact).transpose()
            };
            Box::new(Range(decimal(lower)?, decimal(upper)?))
        }
        ParameterValue::ArrayInt32(values) => Box::new(values.clone()),
        ParameterValue::ArrayInt64(values) => Box::new(values.clone()),
        ParameterValue::ArrayDecimal(values) => {
            let exact = |value: &Option<String>| value.as_deref().map(Decimal::from_str_exact).transpose();
            Box::new(values.iter().map(exact).collect::<Result<Vec<_>, _>>()?)
        }
        ParameterValue::ArrayStr(values) => Box::new(values.clone()),
        ParameterValue::Interval(value) => Box::new(*value),
        ParameterValue::DbNull => Box::new(Null),
    })
}

fn date((year, month, day): (i32, u8, u8)) -> Result<Date, BoxError> {
    Ok(Date::new(year.try_into()?, month.try_into()?, day.try_into()?)?)
}

fn time((hour, minute, second, nanosecond): (u8, u8, u8, u32)) -> Result<Time, BoxError> {
    Ok(Time::new(hour.try_into()?, minute.try_into()?, second.try_into()?, nanosecond.try_into()?)?)
}

fn date_to_wit(date: Date) -> Result<(i32, u8, u8), BoxError> {
    Ok((date.year().into(), date.month().try_into()?, date.day().try_into()?))
}

fn time_to_wit(time: Time) -> Result<(u8, u8, u8, u32), BoxError> {
    Ok((
        time.hour().try_into()?,
        time.minute().try_into()?,
        time.second().try_into()?,
        time.subsec_nanosecond().try_into()?,
    ))
}

fn interval(mut raw: &[u8]) -> Result<Interval, BoxError> {
    Ok(Interval { micros: raw.try_get_i64()?, days: raw.try_get_i32()?, months: raw.try_get_i32()? })
}

impl ToSql for Interval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_i64(self.micros);
        out.put_i32(self.days);
        out.put_i32(self.months);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::INTERVAL
    }

    to_sql_checked!();
}

/// NULL, which has no type in a guest.
#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, BoxError> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[derive(Debug)]
struct Range<T>(Bound<T>, Bound<T>);

impl<T: ToSql> ToSql for Range<T> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        let element = element(ty)?;
        let write = |bound: &Bound<T>, out: &mut BytesMut| {
            let Some((value, kind)) = bound else { return Ok(RangeBound::Unbounded) };
            value.to_sql(element, out)?;
            Ok(match kind {
                RangeBoundKind::Inclusive => RangeBound::Inclusive(BoundIsNull::No),
                RangeBoundKind::Exclusive => RangeBound::Exclusive(BoundIsNull::No),
            })
        };
        range_to_sql(|out| write(&self.0, out), |out| write(&self.1, out), out)?;
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        element(ty).is_ok_and(T::accepts)
    }

    to_sql_checked!();
}

/// An empty range has no bounds, like an infinite one; as in Spin.
fn range<'a, T: FromSql<'a>>(ty: &Type, raw: &'a [u8]) -> Result<(Bound<T>, Bound<T>), BoxError> {
    let element = element(ty)?;
    let read = |bound: RangeBound<Option<&'a [u8]>>| -> Result<Bound<T>, BoxError> {
        let (raw, kind) = match bound {
            RangeBound::Inclusive(raw) => (raw, RangeBoundKind::Inclusive),
            RangeBound::Exclusive(raw) => (raw, RangeBoundKind::Exclusive),
            RangeBound::Unbounded => return Ok(None),
        };
        Ok(Some((T::from_sql_nullable(element, raw)?, kind)))
    };
    match range_from_sql(raw)? {
        RawRange::Empty => Ok((None, None)),
        RawRange::Nonempty(lower, upper) => Ok((read(lower)?, read(upper)?)),
    }
}

/// The element type of a range.
fn element(ty: &Type) -> Result<&Type, BoxError> {
    match ty.kind() {
        Kind::Range(element) => Ok(element),
        _ => Err(format!("{ty} is not a range").into()),
    }
}
