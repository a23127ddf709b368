<?php
// A script of its own.
require __DIR__ . '/../../site.php';
ran('export');
