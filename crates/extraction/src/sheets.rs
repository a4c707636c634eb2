//! Excel workbooks: each visible sheet as a table of what its cells show. Formulas are not calculated: their last values are in the file.

use std::io::Cursor;

use calamine::{Data, DataRef, ExcelDateTime, Reader, SheetType, SheetVisible, Xls, Xlsb, Xlsx, XlsxError};

use crate::{Kind, NoteCode, PartKind, Unreadable, archive::Archive, office, table::Table, writer::Writer};

/// Excel itself shows no more digits.
const DIGITS: usize = 15;
/// Cells that are looked at in one workbook. Empty cells with a format are cells, and make no text.
const CELLS_MAX: usize = 5_000_000;

const NOT_A_WORKBOOK: Unreadable = Unreadable::Damaged("its workbook cannot be opened");

pub(crate) fn read(bytes: Vec<u8>, kind: Kind, writer: &mut Writer) -> Result<(), Unreadable> {
    if kind != Kind::Xls {
        let mut archive = Archive::open(&bytes)?;
        // Of the binary kind, sheets are read whole.
        archive.check((kind == Kind::Xlsx).then_some("xl/worksheets/"))?;
        office::title(&mut archive, writer)?;
    }
    let file = Cursor::new(bytes);
    match kind {
        Kind::Xlsx => read_cells(file, writer),
        Kind::Xlsb => read_ranges(Xlsb::new(file).map_err(|_| NOT_A_WORKBOOK)?, writer),
        _ => read_ranges(
            Xls::new(file).map_err(|error| {
                if matches!(error, calamine::XlsError::Password) { Unreadable::Encrypted } else { NOT_A_WORKBOOK }
            })?,
            writer,
        ),
    }
}

/// Cell by cell: a sheet with two cells in far corners would be a huge rectangle.
fn read_cells(file: Cursor<Vec<u8>>, writer: &mut Writer) -> Result<(), Unreadable> {
    let mut workbook = Xlsx::new(file).map_err(|error| match error {
        XlsxError::Password => Unreadable::Encrypted,
        _ => NOT_A_WORKBOOK,
    })?;
    let mut left = CELLS_MAX;
    for sheet in visible(&workbook) {
        if writer.is_full() {
            break;
        }
        writer.part(PartKind::Sheet, Some(&sheet));
        let Ok(mut cells) = workbook.worksheet_cells_reader(&sheet) else {
            missing(writer, &sheet);
            continue;
        };
        let mut table = Table::default();
        let (mut row, mut column) = (0, 0);
        while !table.is_full() {
            let cell = match cells.next_cell() {
                Ok(Some(cell)) => cell,
                Ok(None) => break,
                Err(_) => {
                    missing(writer, &sheet);
                    break;
                }
            };
            left = left.checked_sub(1).ok_or(Unreadable::TooComplex("it has too many cells"))?;
            let (cell_row, cell_column) = cell.get_position();
            if cell_row != row {
                table.end_row();
                (row, column) = (cell_row, 0);
            }
            table.skip(usize::try_from(cell_column.saturating_sub(column)).unwrap_or_default());
            table.cell(&shown(cell.get_value()));
            column = cell_column.saturating_add(1);
        }
        writer.table(&mut table);
    }
    Ok(())
}

fn read_ranges<R: Reader<Cursor<Vec<u8>>>>(mut workbook: R, writer: &mut Writer) -> Result<(), Unreadable> {
    for sheet in visible(&workbook) {
        if writer.is_full() {
            break;
        }
        writer.part(PartKind::Sheet, Some(&sheet));
        let Ok(range) = workbook.worksheet_range(&sheet) else {
            missing(writer, &sheet);
            continue;
        };
        let mut table = Table::default();
        for row in range.rows() {
            if table.is_full() {
                break;
            }
            for cell in row {
                table.cell(&shown(&borrowed(cell)));
            }
            table.end_row();
        }
        writer.table(&mut table);
    }
    Ok(())
}

fn visible(workbook: &impl Reader<Cursor<Vec<u8>>>) -> Vec<String> {
    let sheets = workbook.sheets_metadata().iter();
    let read = sheets.filter(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible);
    read.map(|sheet| sheet.name.clone()).collect()
}

fn missing(writer: &mut Writer, sheet: &str) {
    writer.note(NoteCode::Damaged, format!("The sheet {sheet:?} is broken, and text of it is missing."));
}

fn borrowed(data: &Data) -> DataRef<'_> {
    match data {
        Data::Int(value) => DataRef::Int(*value),
        Data::Float(value) => DataRef::Float(*value),
        Data::String(value) => DataRef::SharedString(value),
        Data::Bool(value) => DataRef::Bool(*value),
        Data::DateTime(value) => DataRef::DateTime(*value),
        Data::DateTimeIso(value) | Data::DurationIso(value) => DataRef::SharedString(value),
        Data::Error(value) => DataRef::Error(value.clone()),
        _ => DataRef::Empty,
    }
}

/// A value as a person would write it.
fn shown(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(value) => value.to_string(),
        DataRef::Float(value) => number(*value),
        DataRef::String(value) | DataRef::DateTimeIso(value) | DataRef::DurationIso(value) => value.clone(),
        DataRef::SharedString(value) => (*value).to_owned(),
        DataRef::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(value) => time(value),
        DataRef::Error(value) => value.to_string(),
        DataRef::Empty => String::new(),
    }
}

fn number(value: f64) -> String {
    let rounded = format!("{value:.*e}", DIGITS.saturating_sub(1)).parse::<f64>();
    rounded.unwrap_or(value).to_string()
}

fn time(value: &ExcelDateTime) -> String {
    if value.is_duration() {
        let seconds = (value.as_f64() * 86_400.0).round();
        let (hours, rest) = ((seconds / 3_600.0).trunc(), seconds.abs() % 3_600.0);
        return format!("{hours}:{:02}:{:02}", (rest / 60.0).trunc(), rest % 60.0);
    }
    let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (value.as_f64() < 1.0, clock.as_str()) {
        // A time of day without a day.
        (true, _) => clock,
        (false, "00:00:00") => date,
        (false, _) => format!("{date} {clock}"),
    }
}
