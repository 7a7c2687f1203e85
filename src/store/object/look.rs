//! Finds and lists objects. "Not there" needs a positive answer of the service.

use std::time::SystemTime;

use chrono::{DateTime, SubsecRound as _, Utc};
use opendal::Metadata;
use opendal::options::ListOptions;

use super::fault::Fault;
use super::service::Place;
use crate::names::is_file_name;
use crate::store::Entry;
use crate::store_url::Service;

/// How often an object is looked up if the answers contradict each other.
const LOOKS: u32 = 3;

/// Looks an object up; `None` only if the service reports that there is no such object in an existing bucket.
pub(super) fn head(place: &Place, name: &str) -> Result<Option<Metadata>, Fault> {
    for _ in 0..LOOKS {
        match place.ask(place.operator.stat(name)) {
            Ok(found) => return Ok(Some(found)),
            Err(Fault::NoKey) => return Ok(None),
            // The answer to HEAD has no body: a missing bucket and a wrong address look the same.
            Err(Fault::Unproved) if is_missing(place, name)? => return Ok(None),
            Err(Fault::Unproved) => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::Foreign("its answers contradict each other".into()))
}

/// Returns whether the service reports in words that it has no such object.
pub(super) fn is_missing(place: &Place, name: &str) -> Result<bool, Fault> {
    match place.ask(place.operator.read_with(name).range(0..1).into_future()) {
        Ok(_) => Ok(false),
        Err(Fault::NoKey) => Ok(true),
        // An empty object has no such range.
        Err(Fault::Refused(_) | Fault::Cold) => Ok(false),
        Err(Fault::Unproved) => list(place).map(|entries| entries.iter().all(|entry| entry.name != name)),
        Err(fault) => Err(fault),
    }
}

/// Lists all objects directly below the prefix whose names are not hidden.
pub(super) fn list(place: &Place) -> Result<Vec<Entry>, Fault> {
    let found = place.ask(place.operator.list_options("/", ListOptions::default()))?;
    let mut entries = Vec::with_capacity(found.len());
    for object in found {
        let (path, metadata) = object.into_parts();
        if metadata.is_file() && is_file_name(&path) && !path.starts_with('.') {
            entries.push(entry(place, &path, &metadata)?);
        }
    }
    Ok(entries)
}

/// Lists the names of hidden objects that start with `start`.
pub(super) fn hidden(place: &Place, start: &str) -> Result<Vec<String>, Fault> {
    let found = place.ask(place.operator.list_options(start, ListOptions::default()))?;
    let names = found.into_iter().map(|object| object.into_parts()).filter(|(_, metadata)| metadata.is_file());
    let is_wanted = |name: &String| is_file_name(name) && name.starts_with('.') && name.starts_with(start);
    Ok(names.map(|(path, _)| path).filter(is_wanted).collect())
}

/// Lists the prefixes directly below the prefix.
pub(super) fn folders(place: &Place) -> Result<Vec<String>, Fault> {
    let found = place.ask(place.operator.list_options("/", ListOptions::default()))?;
    let folders = found.into_iter().map(|entry| entry.into_parts()).filter(|(_, metadata)| metadata.is_dir());
    let names = folders.map(|(path, _)| path.trim_matches('/').to_owned());
    Ok(names.filter(|name| is_file_name(name) && !name.starts_with('.')).collect())
}

/// Returns the entry of an object. Times are in whole seconds: not every answer states more.
pub(super) fn entry(place: &Place, name: &str, metadata: &Metadata) -> Result<Entry, Fault> {
    let modified = metadata.last_modified().ok_or_else(|| Fault::Foreign("it has no time".into()))?;
    Ok(Entry {
        name: name.to_owned(),
        bytes: metadata.content_length(),
        modified: DateTime::<Utc>::from(SystemTime::from(modified)).trunc_subsecs(0),
        version: version(place, metadata),
    })
}

fn version(place: &Place, metadata: &Metadata) -> Option<String> {
    let version = match place.url.service {
        Service::Gcs => metadata.version(),
        _ => metadata.etag(),
    };
    version.filter(|version| !version.is_empty()).map(str::to_owned)
}

/// Removes an object that exists.
pub(super) fn delete(place: &Place, name: &str) -> Result<(), Fault> {
    for _ in 0..LOOKS {
        match place.ask(place.operator.delete(name)) {
            // Removed by a request whose answer was lost, unless it is still there.
            Err(Fault::NoKey | Fault::Unproved) if head(place, name)?.is_none() => return Ok(()),
            Err(Fault::NoKey | Fault::Unproved) => {}
            other => return other,
        }
    }
    Err(Fault::Foreign("its answers contradict each other".into()))
}

/// Returns whether opendal takes a name as it is.
pub(super) fn is_name(name: &str) -> bool {
    is_file_name(name) && name.trim() == name
}
