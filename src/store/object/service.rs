//! Opens the services: where they are, and whose credentials are used.

use std::io;

use opendal::services::{Azblob, Gcs, S3};
use opendal::{Builder, HttpTransporter, OperationContext, Operator};

use super::fault::Fault;
use super::pace::Rate;
use super::wire::Wire;
use crate::net;
use crate::store::StoreError;
use crate::store::surroundings::Remote;
use crate::store_url::{Service, StoreUrl};

/// A prefix in a bucket: what every request needs.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) url: StoreUrl,
    pub(super) remote: Remote,
    pub(super) operator: Operator,
    pub(super) wire: Wire,
    pub(super) rate: Rate,
    /// Where the service is; part of the key under which facts about it are remembered.
    pub(super) endpoint: String,
}

impl Place {
    /// Opens a service. Sends no request.
    pub(super) fn open(url: &StoreUrl, remote: &Remote) -> Result<Self, StoreError> {
        let failed = |cause| StoreError::Unreachable { location: url.to_string(), cause };
        let wire = Wire::new(net::client().map_err(failed)?, url.service, remote.clone());
        let Found { operator, endpoint } = match url.service {
            Service::S3 => s3(url, remote),
            Service::Gcs => gcs(url, remote),
            Service::Azure => azure(url, remote),
            Service::Connect | Service::Rclone => Err("it is not an object store".into()),
        }
        .map_err(|why| failed(io::Error::new(io::ErrorKind::InvalidInput, why)))?;
        let place = Self {
            url: url.clone(),
            remote: remote.clone(),
            rate: Rate::new(remote.upload_limit),
            operator: through(operator, wire.clone()),
            wire,
            endpoint,
        };
        Ok(place)
    }

    /// Returns an operator whose requests go through this transport.
    pub(super) fn through(&self, wire: Wire) -> Operator {
        through(self.operator.clone(), wire)
    }

    /// Runs a request.
    pub(super) fn ask<T>(&self, request: impl Future<Output = opendal::Result<T>>) -> Result<T, Fault> {
        match net::block_on(request) {
            Ok(answer) => answer.map_err(|error| Fault::of(&error)),
            Err(cause) => Err(Fault::Refused(format!("the runtime cannot be started: {cause}"))),
        }
    }

    /// Names the store in a fault.
    pub(super) fn failed(&self, action: &'static str, name: Option<&str>, fault: Fault) -> StoreError {
        let location = self.url.to_string();
        match fault {
            Fault::NoBucket => {
                let text = format!("there is no bucket or container \"{}\"", self.url.place);
                // Not `NotFound`: a missing bucket must never look like a folder that was not made yet.
                StoreError::Unreachable { location, cause: io::Error::other(text) }
            }
            fault => fault.at(action, name, location),
        }
    }
}

fn through(operator: Operator, wire: Wire) -> Operator {
    operator.with_context(OperationContext::new().with_http_transport(HttpTransporter::new(wire)))
}

struct Found {
    operator: Operator,
    endpoint: String,
}

fn built(builder: impl Builder, endpoint: String) -> Result<Found, String> {
    let operator = Operator::new(builder).map_err(|error| error.message().to_owned())?;
    Ok(Found { operator, endpoint })
}

/// Returns the first of these variables that is set and not empty.
fn variable(remote: &Remote, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| (remote.variable)(name).filter(|value| !value.is_empty()))
}

/// Adds the scheme if there is none, and removes the slash at the end.
fn endpoint(text: &str) -> String {
    let text = text.trim_end_matches('/');
    if text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}

fn s3(url: &StoreUrl, remote: &Remote) -> Result<Found, String> {
    let named = url.option("endpoint").map(str::to_owned);
    let named = named.or_else(|| variable(remote, &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
    let region = url.option("region").map(str::to_owned);
    let region = region.or_else(|| variable(remote, &["AWS_REGION", "AWS_DEFAULT_REGION"]));
    let region = match (region, &named) {
        (Some(region), _) => region,
        // Other services than Amazon's rarely look at it.
        (None, Some(_)) => "us-east-1".to_owned(),
        (None, None) => {
            return Err("its region is not known: set AWS_REGION, or add ?region=REGION to its URL".into());
        }
    };
    // Amazon's own address puts the bucket before the host, except if the name has a dot, which its certificate
    // does not cover.
    let is_virtual = url.is_on("virtual_host") || named.is_none() && !url.place.contains('.');
    let endpoint = named.map_or_else(|| "https://s3.amazonaws.com".to_owned(), |named| endpoint(&named));
    let mut builder = S3::default()
        .root(&url.prefix)
        .bucket(&url.place)
        .region(&region)
        .endpoint(&endpoint)
        .checksum_algorithm("crc32c");
    if is_virtual {
        builder = builder.enable_virtual_host_style();
    }
    // Otherwise each request would look for a server that is rarely there.
    if !url.is_on("instance_role") {
        builder = builder.disable_ec2_metadata();
    }
    let profile = url.option("profile").map(str::to_owned);
    let key = variable(remote, &["AWS_ACCESS_KEY_ID"]).zip(variable(remote, &["AWS_SECRET_ACCESS_KEY"]));
    match (profile, key) {
        (Some(profile), _) => builder = builder.profile(&profile),
        (None, Some((id, secret))) => {
            builder = builder.access_key_id(&id).secret_access_key(&secret);
            if let Some(token) = variable(remote, &["AWS_SESSION_TOKEN"]) {
                builder = builder.session_token(&token);
            }
        }
        (None, None) => {
            if let Some(profile) = variable(remote, &["AWS_PROFILE"]) {
                builder = builder.profile(&profile);
            }
        }
    }
    built(builder, format!("{endpoint} {region}"))
}

fn gcs(url: &StoreUrl, remote: &Remote) -> Result<Found, String> {
    let endpoint = url.option("endpoint").map_or_else(|| "https://storage.googleapis.com".to_owned(), endpoint);
    let mut builder = Gcs::default().root(&url.prefix).bucket(&url.place).endpoint(&endpoint);
    if url.is_on("anonymous") {
        builder = builder.skip_signature();
    }
    if !url.is_on("instance_role") {
        builder = builder.disable_vm_metadata();
    }
    let file = url.option("credentials_file").map(str::to_owned);
    if let Some(file) = file.or_else(|| variable(remote, &["GOOGLE_APPLICATION_CREDENTIALS"])) {
        builder = builder.credential_path(&file);
    }
    built(builder, endpoint)
}

fn azure(url: &StoreUrl, remote: &Remote) -> Result<Found, String> {
    let account = url.option("account").map(str::to_owned);
    let account = account.or_else(|| variable(remote, &["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"]));
    let key = variable(remote, &["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]);
    let token = variable(remote, &["AZURE_STORAGE_SAS_TOKEN"]);
    let connection =
        variable(remote, &["AZURE_STORAGE_CONNECTION_STRING"]).filter(|_| key.is_none() && token.is_none());
    let named = url.option("endpoint").map(endpoint).or_else(|| {
        let account = account.as_ref().filter(|_| connection.is_none())?;
        Some(format!("https://{account}.blob.core.windows.net"))
    });
    let mut builder = match &connection {
        // Its text is a secret: what is wrong with it stays unsaid.
        Some(text) => Azblob::from_connection_string(text)
            .map_err(|_| "AZURE_STORAGE_CONNECTION_STRING is not a connection string")?,
        None => Azblob::default(),
    };
    builder = builder.root(&url.prefix).container(&url.place);
    if let Some(endpoint) = &named {
        builder = builder.endpoint(endpoint);
    } else if connection.is_none() {
        return Err("its account is not known: set AZURE_STORAGE_ACCOUNT, or add ?account=NAME to its URL".into());
    }
    if let Some(account) = &account {
        builder = builder.account_name(account);
    }
    if let Some(key) = &key {
        builder = builder.account_key(key);
    }
    if let Some(token) = &token {
        builder = builder.sas_token(token.trim_start_matches('?'));
    }
    let others = ["AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"];
    if key.is_none() && token.is_none() && connection.is_none() && variable(remote, &others).is_none() {
        return Err(
            "no credentials: set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING".into(),
        );
    }
    built(builder, named.or(account).unwrap_or_default())
}
