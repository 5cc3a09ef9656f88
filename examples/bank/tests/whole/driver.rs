//! A real browser without a window, told what to do.

use std::time::Duration;

use tempfile::TempDir;
use thirtyfour::{
    By, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver, WebElement,
    components::SelectElement, extensions::query::ElementQueryable as _,
};
use tokio::{process::Command, time::timeout};

use crate::{PATIENCE, program::Program, skip};

/// How often the page is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// A browser that looks at a page.
pub(crate) struct Browser {
    driver: WebDriver,
    _program: Program,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page; `None` if there is no browser here.
    pub(crate) async fn at(test: &str, url: &str) -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        if Command::new("chromedriver").arg("--version").output().await.is_err() {
            skip(test, "there is no chromedriver");
            return None;
        }
        let mut program = Program::start(Command::new("chromedriver").arg("--port=0"));
        let port = program.says("started successfully on port ").await;
        let server = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
        let mut browser = DesiredCapabilities::chrome();
        let folder = format!("--user-data-dir={}", profile.path().display());
        // As root, and in a container, Chromium has no sandbox and little shared memory.
        for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", &folder] {
            browser.add_arg(argument).unwrap();
        }
        let driver = WebDriver::new(server, browser).await.unwrap();
        driver.goto(url).await.unwrap();
        Some(Self { driver, _program: program, _profile: profile })
    }

    /// Waits until there is an element like this (CSS).
    pub(crate) async fn sees(&self, selector: &str) {
        self.finds(By::Css(selector), selector).await;
    }

    /// Waits until a level says this status of an account, with this balance.
    pub(crate) async fn answers(&self, account: &str, level: &str, status: &str, balance: &str) {
        let path = format!(
            "//tr[@id='level-{level}' and @data-account='{account}' and @data-status='{status}']\
             /td[contains(@class,'balance') and normalize-space()='{balance}']"
        );
        self.finds(By::XPath(&path), &format!("{level}: {status} {balance}")).await;
    }

    async fn finds(&self, by: By, what: &str) -> WebElement {
        let found = self.driver.query(by).wait(PATIENCE, LOOK).first().await;
        match found {
            Ok(element) => element,
            Err(error) => {
                let body = self.driver.find(By::Tag("body")).await.unwrap();
                panic!("never seen: {what} ({error})\n{}", body.text().await.unwrap());
            }
        }
    }

    /// Clicks. What the page draws anew between the look and the click is looked for again.
    pub(crate) async fn click(&self, selector: &str) {
        let clicks =
            async { while self.finds(By::Css(selector), selector).await.click().await.is_err() {} };
        timeout(PATIENCE, clicks).await.unwrap();
    }

    /// Fills a field of a form.
    pub(crate) async fn fill(&self, form: &str, field: &str, text: &str) {
        let selector = format!("{form} [name={field}]");
        let element = self.finds(By::Css(&selector), &selector).await;
        if element.tag_name().await.unwrap() == "select" {
            self.chooses(&element, &selector, text).await;
        } else {
            element.clear().await.unwrap();
            element.send_keys(text).await.unwrap();
        }
    }

    /// Chooses what a list has, or will have. The list too may be drawn anew.
    async fn chooses(&self, list: &WebElement, selector: &str, text: &str) {
        let chooses = async {
            loop {
                self.sees(&format!("{selector} option[value={text}]")).await;
                let list = SelectElement::new(list).await.unwrap();
                if list.select_by_value(text).await.is_ok() {
                    break;
                }
            }
        };
        timeout(PATIENCE, chooses).await.unwrap();
    }

    /// Waits until the page has said something with this in it.
    pub(crate) async fn hears(&self, text: &str) {
        self.reads("said", text).await;
    }

    /// Waits until the element of this id has this in it.
    pub(crate) async fn reads(&self, id: &str, text: &str) {
        let path = format!("//*[@id='{id}' and contains(., '{text}')]");
        self.finds(By::XPath(&path), text).await;
    }

    pub(crate) async fn close(self) {
        self.driver.quit().await.unwrap();
    }
}
