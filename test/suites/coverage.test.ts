import { loadUnitTests } from '../support/unit-suite.js';

await loadUnitTests('coverage');
